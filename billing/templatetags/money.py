"""Money in templates."""

from django import template

from agentflare.money import NUSD_PER_USD, format_usd

register = template.Library()


@register.filter
def usd(amount_nusd: int | None) -> str:
    """Dollars with the digits that matter: two, or as many as it takes to show something.

    25 dollars are $25.00, 1,234 nUSD are $0.000001234.
    """
    if amount_nusd is None:
        return "–"
    sign = "-" if amount_nusd < 0 else ""
    amount = abs(amount_nusd)
    if amount == 0 or amount >= NUSD_PER_USD:
        return f"{sign}${amount / NUSD_PER_USD:,.2f}"
    digits = format_usd(amount).rstrip("0")
    whole, _, decimals = digits.partition(".")
    return f"{sign}${whole}.{decimals.ljust(2, '0')}"
