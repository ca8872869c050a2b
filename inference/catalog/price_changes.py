"""What an operator does about prices, on a page or in a shell."""

from django.db import transaction

from billing.prices.models import Markup, PriceVersion
from billing.prices.services import withdraw
from inference.catalog.fresh import changed
from inference.catalog.price_notices import kind_of, recall, write_notices
from tenants.audit.services import Actor
from tenants.operators.services import record


@transaction.atomic
def tell_tenants(row: PriceVersion | Markup, *, reason: str, actor: str | Actor) -> int:
    """Those for whom it makes something dearer; the worker mails them. In the transaction that
    sets it. Returns how many."""
    codes = write_notices(row)
    if codes:
        record(
            actor=actor,
            action=f"{kind_of(row)}.notice_given",
            subject=str(row),
            reason=reason,
            tenants=codes,
        )
    return len(codes)


@transaction.atomic
def take_back(row: PriceVersion | Markup, *, reason: str, actor: str | Actor) -> bool:
    """What has not started, and its notices. Returns whether this call did."""
    if not withdraw(row, actor=actor):
        return False
    recall(row)
    record(
        actor=actor,
        action=f"{kind_of(row)}.withdrawn",
        subject=str(row),
        reason=reason,
        tenant=row.tenant if isinstance(row, Markup) else None,
    )
    transaction.on_commit(changed)
    return True
