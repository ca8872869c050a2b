"""Charts of the operator's pages, as unfold's Chart.js takes them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from agentflare.money import NUSD_PER_USD
from billing.business.figures import Figures
from billing.business.models import QueueSample
from billing.prices.models import Unit
from billing.prices.services import usd_quoted


def by_day_chart(by_day: list[tuple[date, Figures]]) -> dict[str, Any]:
    """Revenue and provider cost, in dollars."""
    revenue = [day.cost_nusd / NUSD_PER_USD for _, day in by_day]
    cost = [day.provider_cost_nusd / NUSD_PER_USD for _, day in by_day]
    return {
        "labels": [f"{day:%b %-d}" for day, _ in by_day],
        # The theme draws bars over each other: the second is a line.
        "datasets": [
            _dataset("bar", "Revenue", revenue, is_first=True),
            _dataset("line", "Provider cost", cost),
        ],
    }


def backlog_chart(samples: list[QueueSample]) -> dict[str, Any]:
    """Calls that wait for the ledger, and seconds of the oldest."""
    waiting = [each.waiting for each in samples]
    oldest_s = [each.waiting_ms / 1000 for each in samples]
    # Hundreds of minutes: no mark at each.
    marks: dict[str, Any] = {"pointRadius": 0, "maxTicksXLimit": 8}
    return {
        "labels": [f"{each.at:%H:%M}" for each in samples],
        "datasets": [
            _dataset("line", "Calls that wait", waiting, is_first=True, **marks),
            _dataset("line", "Seconds of the oldest", oldest_s, **marks),
        ],
    }


def rates_chart(steps: Sequence[tuple[datetime, Mapping[str, Decimal]]]) -> dict[str, Any]:
    """Dollars for a million tokens or characters, or one of another unit, from each moment on."""
    units = sorted({unit for _, rates in steps for unit in rates})
    return {
        "labels": [f"{moment:%Y-%m-%d}" for moment, _ in steps],
        "datasets": [
            _dataset(
                "line",
                Unit(unit).label,
                [usd_quoted(unit, rates.get(unit, Decimal(0))) for _, rates in steps],
                is_first=number == 0,
                stepped="before",
                borderDash=[4 * number, 2 * number],
            )
            for number, unit in enumerate(units)
        ],
    }


def _dataset(
    kind: str, label: str, data: Sequence[float], *, is_first: bool = False, **options: Any
) -> dict[str, Any]:
    colour = "var(--color-primary-600)" if is_first else "var(--color-base-500)"
    return {
        "type": kind,
        "label": label,
        "data": data,
        "backgroundColor": colour,
        "borderColor": colour,
        "displayYAxis": True,
        "maxTicksXLimit": 10,
        **options,
    }
