"""Noting that something has happened, for the endpoints that want to know.

Nothing is sent here and no broker is asked: rows are added in the transaction of the cause, and
a task finds them within seconds. So an event exists if and only if its cause does.
"""

import hashlib
from datetime import datetime

import orjson
from django.db import transaction
from django.utils import timezone

from tenants.registry.schemas import tenant_schema
from tenants.webhooks.events import EVENTS, PING, Data
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.workspaces.models import WakeUp


def emit(*, tenant_code: str, event: str, cause: str, data: Data) -> int:
    """Tell every endpoint that has chosen this event. Returns how many.

    cause: names what happened, once and for all (a key's id, a payment's). Emitting it again
        changes nothing.
    data: money as text, in nUSD (`*_nusd`).
    Call it in the transaction of what happened.
    """
    assert event in EVENTS
    with tenant_schema(tenant_code):
        endpoints = list(WebhookEndpoint.objects.filter(is_enabled=True, events__contains=[event]))
        if endpoints:
            _add(
                tenant_code,
                endpoints,
                event=event,
                event_id=_id(tenant_code, event, cause),
                data=data,
            )
    return len(endpoints)


def emit_ping(*, tenant_code: str, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A test, to one endpoint. Call it inside the tenant's schema."""
    event_id = _id(tenant_code, PING, f"{endpoint.pk}:{timezone.now().isoformat()}")
    _add(tenant_code, [endpoint], event=PING, event_id=event_id, data={"endpoint": endpoint.url})
    return WebhookDelivery.objects.get(endpoint=endpoint, event_id=event_id)


@transaction.atomic
def _add(
    tenant_code: str, endpoints: list[WebhookEndpoint], *, event: str, event_id: str, data: Data
) -> None:
    now = timezone.now()
    body = orjson.dumps({"type": event, "timestamp": _utc(now), "data": data}).decode()
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                endpoint=endpoint, event_id=event_id, event=event, body=body, next_at=now
            )
            for endpoint in endpoints
        ],
        ignore_conflicts=True,
    )
    WakeUp.objects.create(tenant_code=tenant_code, due_at=now)


def _id(tenant_code: str, event: str, cause: str) -> str:
    digest = hashlib.sha256(f"{tenant_code}:{event}:{cause}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
