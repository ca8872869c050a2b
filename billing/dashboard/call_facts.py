"""One call as its tenant may know it: nothing of what it cost us, or who upstream is."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from agentflare.money import NUSD_PER_USD
from billing import explain
from billing.archive.files import ArchiveError
from billing.dashboard.words import REMEDIES, STATUS, STATUS_TOLD, TRUTH_TOLD, remedy_of
from billing.ledger.models import JournalEntry
from billing.prices.models import PriceVersion
from billing.prices.services import as_price
from billing.usage.models import Status, Truth, UsageRecord
from tenants.registry.models import Tenant

_BY_THE_MILLION = {"input_tokens", "cached_input_tokens", "output_tokens", "characters", "images"}
UNITS = {
    "input_tokens": "input tokens",
    "cached_input_tokens": "cached input tokens",
    "output_tokens": "output tokens",
    "characters": "characters",
    "images": "images",
    "audio_minute": "minutes of sound",
    "step": "steps and tiles",
    "output_tile_512": "output tiles of 512×512",
    "input_tile_512": "input tiles of 512×512",
    "output_tile_512_step": "output tiles and steps",
    "input_tile_512_step": "input tiles and steps",
    "first_megapixel": "first megapixels",
    "subsequent_megapixel": "further megapixels",
    "input_image_megapixel": "input megapixels",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """A quantity of the call, and what one of it (or a million) costs in its price version."""

    unit: str
    count: str
    usd: str
    per: str


@dataclass(frozen=True, slots=True)
class Facts:
    """record: of a call that is not booked, as it would be."""

    record: UsageRecord
    where: str
    is_running: bool
    entry: JournalEntry | None
    entry_nusd: int
    is_archived: bool
    cost_so_far_nusd: int
    price_since: datetime | None
    rates: list[Rate]

    @property
    def status(self) -> str:
        return "Running" if self.is_running else STATUS[Status(self.record.status)]

    @property
    def tone(self) -> str:
        if self.is_running:
            return ""
        if self.record.status == Status.COMPLETED:
            return "tag-good"
        warns = (Status.EMPTY, Status.CLIENT_GONE)
        return "tag-warn" if self.record.status in warns else "tag-bad"

    @property
    def status_told(self) -> str:
        if self.is_running:
            return "Its money is held, and it has not ended."
        return STATUS_TOLD[Status(self.record.status)]

    @property
    def truth_told(self) -> str:
        return TRUTH_TOLD[Truth(self.record.truth)]

    @property
    def remedy(self) -> str:
        """Empty where there is nothing to mend."""
        code = self.record.error_code
        if code:
            return remedy_of(code)
        failed = (Status.UPSTREAM_FAILED, Status.UPSTREAM_BROKE)
        return REMEDIES["upstream_error"] if self.record.status in failed else ""

    @property
    def returned_nusd(self) -> int:
        """What was held and not used."""
        return max(0, self.record.estimated_nusd - self.record.cost_nusd)

    @property
    def prompt_tokens(self) -> int:
        return self.record.input_tokens + self.record.cached_input_tokens


def find_facts(request_id: UUID, tenant: Tenant) -> Facts | None:
    """Raises RedisDownError when it is not booked and Redis does not answer."""
    try:
        call = explain.find_call(request_id, [tenant])
    except ArchiveError:
        return None
    if call is None:
        return None
    since, rates = _rates(call.record)
    entry = call.entry
    return Facts(
        record=call.record,
        where=_where(call),
        is_running=call.hold is not None,
        entry=entry,
        entry_nusd=sum(posting.amount_nusd for posting in entry.postings.all()) if entry else 0,
        is_archived=call.is_archived,
        cost_so_far_nusd=call.hold.cost_nusd if call.hold else 0,
        price_since=since,
        rates=rates,
    )


def _where(call: explain.Call) -> str:
    if call.is_archived:
        return "Booked in the ledger; the record has moved to the archive."
    if call.entry is not None:
        return "Booked in the ledger."
    if call.hold is not None:
        return "Running."
    return "Ended, and on its way to the ledger: a second or two."


def _rates(record: UsageRecord) -> tuple[datetime | None, list[Rate]]:
    version = PriceVersion.objects.filter(pk=record.price_version_id).first()
    quantities = explain.quantities_of(record)
    rates = as_price(version).rates if version else {}
    told = []
    for unit, count in quantities.items():
        rate = rates.get(unit)
        if rate is None and unit == "cached_input_tokens":
            rate = rates.get("input_tokens")  # cached ones cost as much where they have no rate
        is_million = unit in _BY_THE_MILLION
        told.append(
            Rate(
                unit=UNITS.get(unit, unit.replace("_", " ")),
                count=f"{count:,}",
                usd=plain_usd(rate * (1_000_000 if is_million else 1)) if rate is not None else "",
                per="a million" if is_million else "each",
            )
        )
    return (version.starts_at if version else None), told


def plain_usd(nusd: Decimal, *, digits: int = 6) -> str:
    """At most so many digits that matter: $0.351, $12.50, $0.0000528."""
    usd = nusd / NUSD_PER_USD
    text = f"{Decimal(f'{usd:.{digits}g}'):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"
