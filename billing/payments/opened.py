"""What has been begun and has not ended: found without asking each tenant."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from billing.payments.models import TopUp
from billing.stripe.models import OpenPayment

# Whoever began it is likely at it for so long.
FIRST_LOOK = timedelta(seconds=60)
_RAREST = timedelta(hours=1)


def open_payment(kind: OpenPayment.Kind, ours: UUID, tenant_code: str) -> None:
    """In the same transaction as the row that it is for."""
    OpenPayment.objects.create(
        id=ours, kind=kind, tenant_code=tenant_code, look_at=timezone.now() + FIRST_LOOK
    )


def owe_invoice(tenant_code: str, top_up: TopUp) -> None:
    """It was credited: see to its invoice at once. In the same transaction."""
    OpenPayment.objects.update_or_create(
        id=top_up.pk,
        defaults={
            "kind": OpenPayment.Kind.TOP_UP,
            "tenant_code": tenant_code,
            "look_at": timezone.now(),
        },
    )


def close_if_over(top_up: TopUp) -> None:
    """In the same transaction as the change that ended it."""
    if not top_up.is_open and not top_up.lacks_invoice:
        OpenPayment.objects.filter(pk=top_up.pk).delete()


def due_payments() -> list[OpenPayment]:
    return list(OpenPayment.objects.filter(look_at__lte=timezone.now()).order_by("look_at")[:500])


def put_off(payment: OpenPayment) -> None:
    """The older it is, the rarer it is looked at."""
    now = timezone.now()
    wait = min(max((now - payment.created_at) / 2, FIRST_LOOK), _RAREST)
    OpenPayment.objects.filter(pk=payment.pk).update(look_at=now + wait)
