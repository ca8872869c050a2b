"""Whose an object at Stripe is."""

from uuid import UUID

from billing.stripe.models import StripeObject


def remember(object_id: str, tenant_code: str, ours: UUID | str = "") -> StripeObject:
    """A customer, session, payment or card is this tenant's. The first word stands.

    ours: the top-up that it is for.
    """
    row, _ = StripeObject.objects.get_or_create(
        object_id=object_id, defaults={"tenant_code": tenant_code, "ours": str(ours)}
    )
    return row


def find(object_id: str | None) -> StripeObject | None:
    return StripeObject.objects.filter(object_id=object_id).first() if object_id else None
