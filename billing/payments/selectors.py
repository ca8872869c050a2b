"""Reading payments. In the tenant's schema."""

from dataclasses import dataclass
from uuid import UUID

from billing.payments.models import Dispute, TopUp

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class PaymentsPage:
    top_ups: list[TopUp]
    # Of the next page; None: there is none.
    before: UUID | None


def payments_page(*, before: UUID | None = None, limit: int = PAGE_SIZE) -> PaymentsPage:
    """Newest first, those older than `before`."""
    rows = TopUp.objects.prefetch_related("refunds", "disputes").order_by("-id")
    if before:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    return PaymentsPage(found[:limit], found[limit - 1].pk if len(found) > limit else None)


def open_top_ups() -> list[TopUp]:
    """What waits for somebody, newest first: a page of Stripe's, or a confirmation."""
    return list(TopUp.objects.filter(status__in=TopUp.OPEN).order_by("-id")[:10])


def open_disputes() -> list[Dispute]:
    """What banks have not decided yet."""
    return list(Dispute.objects.filter(outcome=Dispute.Outcome.OPENED).order_by("created_at"))
