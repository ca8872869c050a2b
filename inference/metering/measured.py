"""What a call used, whatever it is counted in."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from billing.prices.models import Unit
from billing.usage.models import Truth

Quantities = dict[str, int | Decimal]
# More neurons than any call can use: a figure above is no figure.
_MOST_NEURONS = Decimal(1_000_000_000)
TOKEN_UNITS = {Unit.INPUT_TOKENS, Unit.CACHED_INPUT_TOKENS, Unit.OUTPUT_TOKENS}


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
        all_told = self.neurons is not None and other.neurons is not None
        return Measured(
            quantities=sum_quantities([self.quantities, other.quantities]),
            neurons=self.neurons + other.neurons if all_told else None,  # type: ignore[operator]
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            truth=self.truth if self.truth == other.truth else Truth.COUNTED,
        )

    def without(self, part: "Measured") -> "Measured":
        """What is left when a part of it is taken out."""
        if not part.quantities:
            return self
        both_told = self.neurons is not None and part.neurons is not None
        return replace(
            self,
            quantities={u: n - part.quantities.get(u, 0) for u, n in self.quantities.items()},
            neurons=self.neurons - part.neurons if both_told else None,  # type: ignore[operator]
        )

    def tokens(self, unit: Unit) -> int:
        return int(self.quantities.get(unit, 0))

    @property
    def others(self) -> dict[str, str]:
        """The units that are not tokens, as a usage event holds them."""
        return {
            str(unit): format(Decimal(count).normalize(), "f")
            for unit, count in self.quantities.items()
            if unit not in TOKEN_UNITS and count
        }


def sum_of(parts: list[Measured]) -> Measured:
    """All of them together; nothing where there are none."""
    if not parts:
        return Measured()
    total, *rest = parts
    for part in rest:
        total = total + part
    return total


def sum_quantities(parts: Iterable[Quantities]) -> Quantities:
    """Unit by unit."""
    total: Quantities = {}
    for part in parts:
        for unit, count in part.items():
            total[unit] = total.get(unit, 0) + count
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
