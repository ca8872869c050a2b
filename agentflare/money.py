"""Money: whole nano-dollars (nUSD). Everything that turns numbers into money is here.

Integers add and compare exactly, and 64 bits hold 9 billion dollars. Nano, because
$0.027 per million tokens is 27 nUSD a token but a fraction of a micro-dollar.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

NUSD_PER_USD = 1_000_000_000

# $0.011 per 1,000 neurons. Source: Workers AI's price page, read 2026-08-28.
NUSD_PER_NEURON = Decimal(11_000)

# The gate computes in Redis' Lua, whose numbers are doubles: whole up to here.
MAX_BALANCE_NUSD = 2**53 - 1

# Decimal itself also reads 1e999999, of which no number is to be made.
_PLAIN = re.compile(r"[+-]?[0-9]{0,12}(\.[0-9]*)?")


def price_nusd(*, quantities: Mapping[str, int | Decimal], rates: Mapping[str, Decimal]) -> int:
    """Price `quantities` (unit → how many) at `rates` (unit → nUSD each).

    The sum is rounded up once to a whole nUSD: the only place where a Decimal
    becomes money. Raises KeyError for a quantity that has no rate.
    """
    if not quantities:
        return 0
    total = sum((units * rates[unit] for unit, units in quantities.items() if units), Decimal(0))
    return int(total.to_integral_value(rounding=ROUND_CEILING))


def neurons_nusd(neurons: Decimal) -> int:
    """What Cloudflare charges us for `neurons`, rounded up to a whole nUSD."""
    return int((neurons * NUSD_PER_NEURON).to_integral_value(rounding=ROUND_CEILING))


def format_usd(amount_nusd: int) -> str:
    """Plain decimal dollars with nine digits after the point: 1 nUSD is "0.000000001"."""
    sign = "-" if amount_nusd < 0 else ""
    dollars, rest = divmod(abs(amount_nusd), NUSD_PER_USD)
    return f"{sign}{dollars}.{rest:09d}"


def parse_usd(text: str) -> int:
    """Dollars as written by a person ("25", "0.5") in nUSD.

    Raises ValueError for anything but a plain number with at most nine decimals.
    """
    text = text.strip()
    if not _PLAIN.fullmatch(text) or not any(map(str.isdigit, text)):
        raise ValueError(f"{text[:40]!r} is not an amount in dollars, such as 25 or 0.50")
    amount = Decimal(text) * NUSD_PER_USD
    if amount != amount.to_integral_value():
        raise ValueError(f"{text[:40]!r} has more than nine digits after the point")
    return int(amount)
