"""Delivering what the outbox has, with back-off for a day. No transaction is open meanwhile."""

import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from agentflare import secrets
from agentflare.counters import count
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.webhooks.sending import Attempt, post
from tenants.workspaces.alerts import tell_people
from tenants.workspaces.models import WakeUp

logger = logging.getLogger(__name__)
State = WebhookDelivery.State

PURPOSE = "webhooks"
# After each failure in turn: a day and some minutes in all.
BACK_OFF_S = (5, 60, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 36_900)
# Whoever has taken a delivery has so long to note what came of it.
_LEASE = timedelta(seconds=60)
_AT_ONCE = 10
_KEPT_ATTEMPTS = 30
# How long a run goes on taking more.
_RUN_S = 25
KEPT = timedelta(days=30)
LASTING = timedelta(days=1)


def wake_up_tenants(limit: int = 200) -> list[tuple[str, list[int]]]:
    """Tenants with something due, and the wake-ups that say so; they come again after a while,
    should nobody finish them."""
    now = timezone.now()
    with transaction.atomic():
        due = list(
            WakeUp.objects.select_for_update(skip_locked=True)
            .filter(due_at__lte=now)
            .order_by("due_at")[:limit]
        )
        WakeUp.objects.filter(pk__in=[row.pk for row in due]).update(due_at=now + _LEASE)
    by_tenant: dict[str, list[int]] = {}
    for row in due:
        by_tenant.setdefault(row.tenant_code, []).append(row.pk)
    return list(by_tenant.items())


def deliver(tenant: Tenant, *, wake_ups: list[int] | None = None) -> int:
    """Send what is due, and note when something will be next. Returns how many were sent.

    Safe to run twice at once, and after a crash: then something may be sent twice, under the
    same webhook-id.
    """
    sent, ends_at = 0, time.monotonic() + _RUN_S
    with tenant_schema(tenant.code):
        while time.monotonic() < ends_at and (taken := _take()):
            with ThreadPoolExecutor(len(taken)) as pool:
                attempts = list(pool.map(_post, taken))
            for delivery, attempt in zip(taken, attempts, strict=True):
                _note(tenant, delivery, attempt)
            good = sum(attempt.is_success for attempt in attempts)
            count(
                ("webhook_attempts_total", "delivered", good),
                ("webhook_attempts_total", "failed", len(attempts) - good),
            )
            sent += len(taken)
        WebhookDelivery.objects.filter(created_at__lt=timezone.now() - KEPT).exclude(
            state=State.PENDING
        ).delete()
        with transaction.atomic():
            pending = WebhookDelivery.objects.filter(state=State.PENDING)
            next_at = pending.aggregate(next_at=Min("next_at"))["next_at"]
            WakeUp.objects.filter(pk__in=wake_ups or [], tenant_code=tenant.code).delete()
            if next_at:
                WakeUp.objects.create(tenant_code=tenant.code, due_at=next_at)
    return sent


def _take() -> list[WebhookDelivery]:
    now = timezone.now()
    with transaction.atomic():
        due = list(
            WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("endpoint")
            .filter(state=State.PENDING, next_at__lte=now)
            .order_by("next_at")[:_AT_ONCE]
        )
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in due]).update(next_at=now + _LEASE)
    return due


def _post(delivery: WebhookDelivery) -> Attempt:
    """In a thread of its own: no query here."""
    endpoint = delivery.endpoint
    try:
        signed_with = secrets_of(endpoint)
    except secrets.ForeignSecretError:
        return Attempt.impossible("Its secret cannot be read: change the secret.")
    return post(
        url=endpoint.url,
        secrets=signed_with,
        event_id=delivery.event_id,
        body=delivery.body.encode(),
    )


def secrets_of(endpoint: WebhookEndpoint) -> list[str]:
    kept = [endpoint.secret]
    if endpoint.old_secret_until and endpoint.old_secret_until > timezone.now():
        kept.append(endpoint.old_secret)
    return [secrets.decrypt(secret, purpose=PURPOSE) for secret in kept]


def _note(tenant: Tenant, delivery: WebhookDelivery, attempt: Attempt) -> None:
    now = timezone.now()
    is_disabled = False
    with transaction.atomic():
        endpoint = (
            WebhookEndpoint.objects.select_for_update().filter(pk=delivery.endpoint_id).first()
        )
        row = WebhookDelivery.objects.select_for_update().filter(pk=delivery.pk).first()
        if endpoint is None or row is None:
            return  # removed meanwhile
        row.attempts = [*row.attempts, attempt.as_dict()][-_KEPT_ATTEMPTS:]
        row.tries += 1
        if attempt.is_success:
            row.state, row.next_at = State.DELIVERED, None
            endpoint.failing_since = None
        else:
            endpoint.failing_since = endpoint.failing_since or now
            if row.tries > len(BACK_OFF_S) or not endpoint.is_enabled:
                row.state, row.next_at = State.FAILED, None
            else:
                row.next_at = _later(now, BACK_OFF_S[row.tries - 1])
            has_lasted = row.state == State.FAILED and now - endpoint.failing_since >= LASTING
            is_disabled = endpoint.is_enabled and (has_lasted or attempt.is_gone)
        if is_disabled:
            endpoint.is_enabled, endpoint.disabled_at = False, now
            audit.record(actor="system", action="webhook.disabled", subject=endpoint.url[:100])
        row.save()
        endpoint.save(update_fields=["failing_since", "is_enabled", "disabled_at"])
        if is_disabled:
            pending = WebhookDelivery.objects.filter(endpoint=endpoint, state=State.PENDING)
            pending.update(state=State.FAILED, next_at=None)
    if is_disabled:
        why = "answered 410 Gone" if attempt.is_gone else "has not taken anything for a day"
        tell_people(
            tenant,
            "a webhook is switched off",
            f"The webhook to {delivery.endpoint.url} of {tenant.name} {why}, so nothing is sent "
            "there any more. What could not be delivered is in its log, and can be sent again.",
            page="webhooks",
        )


def _later(now: datetime, seconds: int) -> datetime:
    """Not all at the same moment."""
    return now + timedelta(seconds=seconds * random.uniform(1, 1.1))  # noqa: S311  # no secret
