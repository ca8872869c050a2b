"""Money in templates."""

from django import template

from agentflare.money import NUSD_PER_USD, format_usd

register = template.Library()


@register.filter
def usd_brief(amount_nusd: int) -> str:
    """For large type: from a cent on no more than four digits after the point, cut."""
    if abs(amount_nusd) < NUSD_PER_USD // 100:
        return usd(amount_nusd)
    sign = -1 if amount_nusd < 0 else 1
    return usd(sign * (abs(amount_nusd) // 100_000 * 100_000))


@register.filter
def usd(amount_nusd: int | None) -> str:
    """Dollars with the digits that matter, cut and never rounded up: money is not shown
    that is not there.

    From a dollar on two or four digits after the point: $25.00, $24.9990. Below it as many
    as there are: 1,234 nUSD are $0.000001234.
    """
    if amount_nusd is None:
        return "–"
    sign = "-" if amount_nusd < 0 else ""
    amount = abs(amount_nusd)
    whole, _, decimals = format_usd(amount).partition(".")
    if amount >= NUSD_PER_USD:
        decimals = decimals[:4] if decimals[2:4] != "00" else decimals[:2]
    else:
        decimals = decimals.rstrip("0").ljust(2, "0")
    return f"{sign}${int(whole):,}.{decimals}"


@register.filter
def usd_exact(amount_nusd: int) -> str:
    """To the nano-dollar, for sums that people check: $24.988418804."""
    sign = "-" if amount_nusd < 0 else ""
    whole, _, decimals = format_usd(abs(amount_nusd)).partition(".")
    return f"{sign}${int(whole):,}.{decimals.rstrip('0').ljust(2, '0')}"
