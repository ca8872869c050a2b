"""Telling tenants that what they used becomes dearer: each once, of each price or markup.

Who is told what is written down in the transaction that sets the price; a task owes each its mails
in one transaction with the note that it did. One that is withdrawn is told to those who were told.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from billing.business.figures import first_day
from billing.business.price_preview import Change, preview
from billing.payments.outgoing import owe
from billing.prices.admin import sentence
from billing.prices.markups import PriceTable, price_history
from billing.prices.models import Markup, PriceVersion
from billing.templatetags.money import usd
from inference.catalog.models import PriceNotice
from inference.catalog.notices import addresses_of
from inference.catalog.selectors import USED_DAYS
from tenants.members.mails import page_of
from tenants.registry.models import Tenant


def kind_of(row: PriceVersion | Markup) -> str:
    return "markup" if isinstance(row, Markup) else "price"


def about(row: PriceVersion | Markup) -> str:
    return f"{kind_of(row)} {row.pk}"


def told_of() -> dict[str, int]:
    """`about` → how many tenants get a mail of it."""
    counts = PriceNotice.objects.values_list("about").annotate(count=Count("pk"))
    return dict(counts.order_by("about"))


def write_notices(row: PriceVersion | Markup) -> list[str]:
    """To those whose use of the last 30 days would have cost more. Call it in the transaction that
    sets `row`. Returns their codes; a repeat writes nothing more."""
    history, starts_at = price_history(), max(row.starts_at, timezone.now())
    known = history.without(row)
    before, after = known.table(starts_at), history.table(starts_at)
    shown = preview(before, after, known=known, since=first_day(USED_DAYS))
    tenants = Tenant.objects.filter(code__in=shown.dearer_for, closure=None)
    notices = [
        PriceNotice(
            about=about(row),
            tenant_code=tenant.code,
            subject="Prices of AI models that you use will rise",
            text=_text(tenant, shown.of_tenants[tenant.code], before, after),
        )
        for tenant in tenants
    ]
    PriceNotice.objects.bulk_create(notices, ignore_conflicts=True)
    return sorted(notice.tenant_code for notice in notices)


def recall(row: PriceVersion | Markup) -> None:
    """It will not start: whoever was not told yet is not told, the others are told that."""
    PriceNotice.objects.filter(about=about(row), sent_at=None).delete()
    told = PriceNotice.objects.filter(about=about(row))
    PriceNotice.objects.bulk_create(
        (
            PriceNotice(
                about=f"{about(row)} withdrawn",
                tenant_code=notice.tenant_code,
                subject="Prices of AI models will not rise after all",
                text=f"What we wrote on {notice.sent_at:%Y-%m-%d} of prices from "
                f"{_when(row.starts_at)} on will not be: they stay as they are.\n",
            )
            for notice in told
        ),
        ignore_conflicts=True,
    )


def send_price_notices() -> int:
    """Those that are owed. Returns how many tenants were told; who dies in between tells nobody
    twice."""
    unsent = PriceNotice.objects.filter(sent_at=None).values_list("pk", flat=True)
    return sum(_send(pk) for pk in unsent)


@transaction.atomic
def _send(pk: int) -> bool:
    unsent: Any = PriceNotice.objects.select_for_update(skip_locked=True)
    notice = unsent.filter(pk=pk, sent_at=None).first()
    if notice is None:
        return False
    tenant = Tenant.objects.filter(code=notice.tenant_code, closure=None).first()
    if tenant is not None:
        owe(
            addresses_of(tenant),
            subject=f"{tenant.name}: {notice.subject}",
            message=f"{notice.text}\n{page_of(tenant, 'models')}\n",
        )
    notice.sent_at = timezone.now()
    notice.save(update_fields=["sent_at"])
    return tenant is not None


def _text(tenant: Tenant, changes: list[Change], before: PriceTable, after: PriceTable) -> str:
    rows = "\n".join(
        f"{change.name}\n"
        f"  before: {_rates(before, change.name, tenant.code)}\n"
        f"  then:   {_rates(after, change.name, tenant.code)}\n"
        for change in sorted(changes, key=lambda change: -change.revenue_change)
    )
    was = sum(change.before.revenue for change in changes)
    becomes = sum(change.after.revenue for change in changes)
    rounded = "" if all(change.is_exact for change in changes) else "about "
    return (
        f"From {_when(after.moment)} on, these AI models, which {tenant.name} has used in the last "
        f"{USED_DAYS} days, have other prices:\n\n{rows}\n"
        f"What you used of them in these days would have cost {rounded}{usd(becomes)} instead of "
        f"{usd(was)}. Calls that have begun before keep their price.\n"
    )


def _rates(table: PriceTable, ai_model: str, tenant_code: str) -> str:
    pair = table.pair(ai_model, tenant_code)
    return sentence(*pair) if pair else "no price"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
