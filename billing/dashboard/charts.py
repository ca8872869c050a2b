"""What static/charts.js draws, and the table that stands beside it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentflare.money import NUSD_PER_USD
from billing.dashboard.periods import Period

# As many colours as there are; what is left over is one more series.
_SERIES = 6
REST = "All others"

Values = Mapping[str, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Chart:
    """series: name → a number for each start; the greatest first, the rest together last."""

    period: Period
    is_money: bool
    starts: Sequence[int]
    series: Sequence[tuple[str, Sequence[int]]]

    def as_json(self) -> dict[str, Any]:
        scale: Callable[[int], float] = (
            (lambda nusd: nusd / NUSD_PER_USD) if self.is_money else float
        )
        return {
            "kind": "bar",
            "unit": "usd" if self.is_money else "count",
            "stacked": True,
            "by": self.period.width,
            "labels": [moment.isoformat() for moment in self.moments],
            "series": [
                {"name": name, "values": [scale(value) for value in values]}
                for name, values in self.series
            ],
        }

    @property
    def moments(self) -> list[datetime]:
        return [datetime.fromtimestamp(start, UTC) for start in self.starts]

    @property
    def rows(self) -> list[tuple[datetime, list[int], int]]:
        """Those in which there is anything: when, each series, all together."""
        columns = list(zip(*(values for _, values in self.series), strict=True))
        return [
            (moment, list(column), sum(column))
            for moment, column in zip(self.moments, columns, strict=False)
            if any(column)
        ]

    def __bool__(self) -> bool:
        return bool(self.series)


def chart_of(values: Values, period: Period, *, is_money: bool) -> Chart:
    """values: name → start of a bar, in seconds since 1970 → how much."""
    starts = list(period.starts())
    ranked = sorted(values, key=lambda name: (-sum(values[name].values()), name))
    ranked = [name for name in ranked if any(values[name].values())]
    # One alone that is left over has its own colour too.
    shown = ranked if len(ranked) <= _SERIES + 1 else ranked[:_SERIES]
    series = [(name, [values[name].get(start, 0) for start in starts]) for name in shown]
    if rest := ranked[len(shown) :]:
        series.append(
            (REST, [sum(values[name].get(start, 0) for name in rest) for start in starts])
        )
    return Chart(period, is_money, starts, series)


def gathered(rows: Iterable[tuple[str, int, int]]) -> dict[str, dict[int, int]]:
    """Name, start and amount, added up."""
    values: dict[str, dict[int, int]] = {}
    for name, start, amount in rows:
        of_name = values.setdefault(name, {})
        of_name[start] = of_name.get(start, 0) + amount
    return values
