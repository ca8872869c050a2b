"""An endpoint's life. Everything runs in the tenant's schema; each change is in the audit trail."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from agentflare import secrets
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.registry.models import Tenant
from tenants.webhooks.delivery import PURPOSE
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.webhooks.outbox import emit_ping
from tenants.webhooks.signing import make_secret
from tenants.workspaces.models import WakeUp

State = WebhookDelivery.State

MOST = 10
# How long the secret before signs, too.
OVERLAP = timedelta(days=1)


class TooManyEndpointsError(Exception):
    pass


@transaction.atomic
def create_endpoint(
    *, tenant: Tenant, url: str, name: str, events: list[str], actor: Actor
) -> tuple[WebhookEndpoint, str]:
    """The row and the secret, which nobody sees again. Raises TooManyEndpointsError."""
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if WebhookEndpoint.objects.count() >= MOST:
        raise TooManyEndpointsError(f"A workspace has at most {MOST} webhooks.")
    secret = make_secret()
    endpoint = WebhookEndpoint.objects.create(
        url=url, name=name, events=events, secret=secrets.encrypt(secret, purpose=PURPOSE)
    )
    _record(endpoint, actor, "webhook.created", events=events)
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    *, endpoint_id: int, url: str, name: str, events: list[str], is_enabled: bool, actor: Actor
) -> WebhookEndpoint:
    """Raises WebhookEndpoint.DoesNotExist."""
    endpoint = _lock(endpoint_id)
    if is_enabled and not endpoint.is_enabled:
        endpoint.failing_since = endpoint.disabled_at = None
    wanted = {"url": url, "name": name, "events": events, "is_enabled": is_enabled}
    changes = {
        field: [getattr(endpoint, field), value]
        for field, value in wanted.items()
        if getattr(endpoint, field) != value
    }
    for field, value in wanted.items():
        setattr(endpoint, field, value)
    endpoint.save()
    if not is_enabled:
        pending = WebhookDelivery.objects.filter(endpoint=endpoint, state=State.PENDING)
        pending.update(state=State.FAILED, next_at=None)
    if changes:
        _record(endpoint, actor, "webhook.changed", **changes)
    return endpoint


@transaction.atomic
def rotate_secret(*, endpoint_id: int, actor: Actor) -> tuple[WebhookEndpoint, str]:
    """A new secret; the old one signs too for a day. Raises WebhookEndpoint.DoesNotExist."""
    endpoint, secret = _lock(endpoint_id), make_secret()
    endpoint.old_secret, endpoint.old_secret_until = endpoint.secret, timezone.now() + OVERLAP
    endpoint.secret = secrets.encrypt(secret, purpose=PURPOSE)
    endpoint.save()
    _record(endpoint, actor, "webhook.secret_rotated")
    return endpoint, secret


@transaction.atomic
def remove_endpoint(*, endpoint_id: int, actor: Actor) -> None:
    """With its log. Raises WebhookEndpoint.DoesNotExist."""
    endpoint = _lock(endpoint_id)
    _record(endpoint, actor, "webhook.removed")
    endpoint.delete()


@transaction.atomic
def ping(*, tenant: Tenant, endpoint_id: int, actor: Actor) -> WebhookDelivery:
    """Send a test. Raises WebhookEndpoint.DoesNotExist."""
    endpoint = _lock(endpoint_id)
    _record(endpoint, actor, "webhook.pinged")
    return emit_ping(tenant_code=tenant.code, endpoint=endpoint)


@transaction.atomic
def send_again(
    *, tenant: Tenant, endpoint_id: int, delivery_id: int, actor: Actor
) -> WebhookDelivery:
    """Once more, whatever became of it. One on its way is left alone.

    Raises WebhookDelivery.DoesNotExist.
    """
    rows = WebhookDelivery.objects.select_for_update()
    delivery = rows.get(pk=delivery_id, endpoint_id=endpoint_id)
    if not delivery.is_pending:
        delivery.state, delivery.tries = WebhookDelivery.State.PENDING, 0
        delivery.next_at = timezone.now()
        delivery.save()
        WakeUp.objects.create(tenant_code=tenant.code, due_at=delivery.next_at)
        _record(delivery.endpoint, actor, "webhook.sent_again", event_id=delivery.event_id)
    return delivery


def _lock(endpoint_id: int) -> WebhookEndpoint:
    return WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)


def _record(endpoint: WebhookEndpoint, actor: Actor, action: str, **detail: object) -> None:
    audit.record(actor=actor, action=action, subject=endpoint.url[:100], **detail)


@transaction.atomic
def renew_secrets(renewal: secrets.Renewal) -> None:
    """Bring the tenant's secrets under SECRET_KEY; safe to run twice. In its schema."""
    for row in WebhookEndpoint.objects.select_for_update().order_by("pk"):
        renewed = [renewal.renew(text, purpose=PURPOSE) for text in (row.secret, row.old_secret)]
        if renewed != [row.secret, row.old_secret]:
            row.secret, row.old_secret = renewed
            row.save(update_fields=["secret", "old_secret"])
