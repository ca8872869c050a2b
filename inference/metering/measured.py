"""What a call used, whatever it is counted in."""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from billing.prices.models import Unit
from billing.usage.models import Truth

Quantities = dict[str, int | Decimal]
# More neurons than any call can use: a figure above is no figure.
_MOST_NEURONS = Decimal(1_000_000_000)
_TOKEN_UNITS = {Unit.INPUT_TOKENS, Unit.CACHED_INPUT_TOKENS, Unit.OUTPUT_TOKENS}


@dataclass(frozen=True, slots=True)
class Measured:
    """quantities: unit → how many of it. neurons: Cloudflare's own count, where it told one.

    reasoning_tokens are part of the output tokens.
    """

    quantities: Quantities = field(default_factory=dict)
    neurons: Decimal | None = None
    reasoning_tokens: int = 0
    truth: Truth = Truth.PROVIDER

    def __add__(self, other: "Measured") -> "Measured":
        """Both calls together. What one of them did not tell is not told of both."""
        quantities = dict(self.quantities)
        for unit, count in other.quantities.items():
            quantities[unit] = quantities.get(unit, 0) + count
        all_told = self.neurons is not None and other.neurons is not None
        return Measured(
            quantities=quantities,
            neurons=self.neurons + other.neurons if all_told else None,  # type: ignore[operator]
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            truth=self.truth if self.truth == other.truth else Truth.COUNTED,
        )

    def tokens(self, unit: Unit) -> int:
        return int(self.quantities.get(unit, 0))

    @property
    def others(self) -> dict[str, str]:
        """The units that are not tokens, as a usage event holds them."""
        return {
            str(unit): format(Decimal(count).normalize(), "f")
            for unit, count in self.quantities.items()
            if unit not in _TOKEN_UNITS and count
        }


def sum_of(parts: list[Measured]) -> Measured:
    """All of them together; nothing where there are none."""
    if not parts:
        return Measured()
    total, *rest = parts
    for part in rest:
        total = total + part
    return total


def parse_neurons(value: object) -> Decimal | None:
    """From a header or a body: a number that can be one. Anything else is None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        neurons = Decimal(str(value))
    except InvalidOperation:
        return None
    return neurons if neurons.is_finite() and 0 <= neurons <= _MOST_NEURONS else None
