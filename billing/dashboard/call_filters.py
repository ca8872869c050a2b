"""What the table of calls is filtered by, and which part of it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from agentflare.money import parse_usd
from billing.dashboard.periods import Period, period_of
from billing.usage.models import Status
from billing.usage.records import RecordFilter

_MOST_NUSD = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CallFilters:
    """wanted: what the query of records takes. faults: field → what is wrong with it; such a
    field filters nothing."""

    period: Period
    wanted: RecordFilter
    faults: dict[str, str]
    given: dict[str, str]

    @property
    def as_query(self) -> str:
        """All that was chosen, for links to the next page and the export."""
        return urlencode({name: value for name, value in self.given.items() if value})

    @property
    def is_filtered(self) -> bool:
        names = ("model", "key", "status", "endpoint", "min_cost")
        return any(self.given.get(name) for name in names)


FIELDS = ("period", "from", "to", "model", "key", "status", "endpoint", "min_cost")


def call_filters(query: Mapping[str, str]) -> CallFilters:
    given = {name: (query.get(name) or "").strip().replace("\0", "")[:120] for name in FIELDS}
    faults: dict[str, str] = {}
    period = period_of(given)
    if period.fault:
        faults["period"] = period.fault
    status = given["status"]
    if status and status not in Status.values:
        faults["status"] = "There is no such status."
        status = ""
    min_cost_nusd = 0
    if given["min_cost"]:
        try:
            min_cost_nusd = parse_usd(given["min_cost"].removeprefix("$"))
            if not 0 <= min_cost_nusd <= _MOST_NUSD:
                raise ValueError
        except ValueError:
            min_cost_nusd = 0
            faults["min_cost"] = "Dollars, such as 0.05."
    wanted = RecordFilter(
        key_id=given["key"],
        ai_model=given["model"],
        endpoint=given["endpoint"].removeprefix("/").removeprefix("v1/"),
        status=status,
        start=period.start,
        end=period.end,
        min_cost_nusd=min_cost_nusd,
    )
    return CallFilters(period, wanted, faults, {**given, "period": period.name})


def parse_id(text: str) -> UUID | None:
    """`req_…`, as answers tell it, or the bare id; None for anything else."""
    try:
        return UUID(text.strip().removeprefix("req_"))
    except ValueError:
        return None
