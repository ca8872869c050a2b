"""Charts of the operator's pages, as unfold's Chart.js takes them."""

from datetime import date
from typing import Any

from billing.business.figures import Figures


def by_day_chart(by_day: list[tuple[date, Figures]]) -> dict[str, Any]:
    """Revenue and provider cost, in dollars."""

    def dollars(nusd: int) -> float:
        return nusd / 1_000_000_000

    # The theme draws bars over each other: the second is a line.
    lines = (
        ("bar", "Revenue", "--color-primary-600", [dollars(day.cost_nusd) for _, day in by_day]),
        (
            "line",
            "Provider cost",
            "--color-base-500",
            [dollars(day.provider_cost_nusd) for _, day in by_day],
        ),
    )
    return {
        "labels": [f"{day:%b %-d}" for day, _ in by_day],
        "datasets": [
            {
                "type": kind,
                "label": label,
                "data": data,
                "backgroundColor": f"var({colour})",
                "borderColor": f"var({colour})",
                "displayYAxis": True,
                "maxTicksXLimit": 10,
            }
            for kind, label, colour, data in lines
        ],
    }
