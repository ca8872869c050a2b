"""What may be bought, and what it costs: whole cents."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings

from tenants.registry.models import Plan, Tenant

NUSD_PER_CENT = 10_000_000
# For the form; each is offered where the tenant's limits allow it.
PRESETS_CENTS = (1000, 2500, 5000, 10_000)


class AmountError(Exception):
    """An amount that cannot be bought. Its text is for the reader."""


class Sums:
    """What is paid, and what of it is credit, in cents and in nUSD. Fee and tax buy no credit."""

    __slots__ = ()
    credit_cents: Any
    fee_cents: Any
    tax_cents: Any

    @property
    def total_cents(self) -> int:
        return int(self.credit_cents + self.fee_cents + self.tax_cents)

    @property
    def credit_nusd(self) -> int:
        return int(self.credit_cents * NUSD_PER_CENT)

    @property
    def fee_nusd(self) -> int:
        return int(self.fee_cents * NUSD_PER_CENT)

    @property
    def tax_nusd(self) -> int:
        return int(self.tax_cents * NUSD_PER_CENT)

    @property
    def total_nusd(self) -> int:
        return self.total_cents * NUSD_PER_CENT


@dataclass(frozen=True, slots=True)
class Quote(Sums):
    """What is paid for so much credit."""

    credit_cents: int
    fee_cents: int
    tax_cents: int


@dataclass(frozen=True, slots=True)
class Range:
    least_cents: int
    most_cents: int

    def check(self, credit_cents: int) -> None:
        """Raises AmountError, which names the bounds."""
        if not self.least_cents <= credit_cents <= self.most_cents:
            raise AmountError(
                f"Choose an amount from {dollars(self.least_cents)} to {dollars(self.most_cents)}."
            )


def quote(credit_cents: int) -> Quote:
    """The fee is a share of the credit, the tax one of both."""
    fee_cents = _share(credit_cents, settings.TOP_UP_FEE_PERCENT)
    tax_cents = _share(credit_cents + fee_cents, settings.TOP_UP_TAX_PERCENT)
    return Quote(credit_cents, fee_cents, tax_cents)


def lines_of(sums: Sums) -> list[tuple[str, int]]:
    """Credit, fee and tax, each by itself, in cents: what invoices and Checkout list."""
    lines = [
        ("AgentFlare credit", sums.credit_cents),
        ("Fee", sums.fee_cents),
        (settings.TOP_UP_TAX_NAME, sums.tax_cents),
    ]
    return [(name, cents) for name, cents in lines if cents]


def _share(cents: int, percent: Decimal) -> int:
    return int((cents * percent / 100).to_integral_value(rounding=ROUND_HALF_UP))


def range_of(tenant: Tenant) -> Range:
    """By the tenant's plan, or as the settings have it."""
    plan = tenant.plan or Plan.objects.filter(is_default=True).first()
    least = plan.least_top_up_dollars if plan else None
    most = plan.most_top_up_dollars if plan else None
    return Range(
        settings.TOP_UP_LEAST_DOLLARS * 100 if least is None else least * 100,
        settings.TOP_UP_MOST_DOLLARS * 100 if most is None else most * 100,
    )


def entry(cents: int) -> str:
    """As a person would enter it: 25 or 12.50."""
    return f"{cents // 100}.{cents % 100:02}".removesuffix(".00")


def dollars(cents: int) -> str:
    whole, rest = divmod(cents, 100)
    return f"${whole:,}.{rest:02}" if rest else f"${whole:,}"
