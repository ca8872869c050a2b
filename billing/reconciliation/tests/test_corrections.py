"""A call whose use is known better later: once, twice, at once, too much, and with the books."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client

from agentflare.ids import first_uuid7, uuid7
from agentflare.money import format_usd
from agentflare.partitions import partition_of
from agentflare.redis_store import get_redis
from billing import invariants
from billing.admission import gate
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import event
from billing.archive.services import archive_usage
from billing.ledger.models import JournalEntry
from billing.ledger.services import LedgerError
from billing.prices.models import PriceVersion
from billing.prices.services import as_price, set_price
from billing.reconciliation import corrections
from billing.reconciliation.awaited import can_be_told
from billing.reconciliation.corrections import Figures, correct
from billing.reconciliation.models import AwaitedFigure
from billing.settlement.services import settle_partition
from billing.usage.models import (
    DailyUsage,
    HourlyUsage,
    KeySpend,
    UpstreamUsage,
    UsageArchive,
    UsageRecord,
)
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000
IN_NUSD, OUT_NUSD = 1_000, 3_000  # what a token costs us; the tenant pays a fifth more
LOG = "01JLOG"


@pytest.fixture(autouse=True)
def _nothing_is_awaited(_database: None) -> Iterator[None]:
    yield
    AwaitedFigure.objects.filter(gateway_log_id=LOG).delete()


@pytest.fixture(scope="module")
def price(_database: None) -> Any:
    version = set_price(
        ai_model="corrected-model",
        nusd={"input_tokens": Decimal(IN_NUSD), "output_tokens": Decimal(OUT_NUSD)},
        markup_percent=Decimal(20),
        source=PriceVersion.Source.OPERATOR,
    )
    return as_price(version)


def cost(tokens_in: int, tokens_out: int) -> int:
    return (tokens_in * IN_NUSD + tokens_out * OUT_NUSD) * 6 // 5


def id_of(moment: datetime) -> str:
    """A request id of then."""
    return f"{first_uuid7(moment).int | uuid7().int & 2**62 - 1:032x}"


def booked(
    cast: Any, price: Any, *, tokens: tuple[int, int] = (10, 20), held: int = 10**6, **fields: Any
) -> UUID:
    """A call with counted tokens that has not told its price, settled."""
    tokens_in, tokens_out = tokens
    key_id = fields.pop("key_id", "abcdefgh")
    started = fields.pop("started", datetime.now(UTC))
    made = event(
        cast,
        held,
        key_id=key_id,
        ai_model="corrected-model",
        upstream_model="@cf/x/corrected",
        upstream="main",
        price_version_id=price.version_id,
        request_id=id_of(started),
        started_at=started.timestamp(),
    )
    hold = admit(event=made)
    values = {
        "status": "client_gone",  # nobody was told a price
        "truth": "counted",
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cost_nusd": cost(tokens_in, tokens_out),
        "provider_cost_nusd": tokens_in * IN_NUSD + tokens_out * OUT_NUSD,
        "gateway_log_id": LOG,
        "answers": 1,
        **fields,
    }
    capture(hold, hold.event.with_(**values))
    settle_partition(partition=partition_of(cast.code))
    return UUID(hold.request_id)


def corrected(cast: Any, request_id: UUID, tokens_in: int, tokens_out: int, **how: Any) -> bool:
    told = Figures(tokens_in, how.pop("cached", 0), tokens_out)
    how = {"is_whole": True, **how}
    return correct(tenant_code=cast.code, request_id=request_id, told=told, **how)


def record_of(cast: Any, request_id: UUID) -> UsageRecord:
    with tenant_schema(cast.code):
        return UsageRecord.objects.get(pk=request_id)


def assert_books_are_right(cast: Any, spent_nusd: int) -> None:
    """The ledger, the gate, every sum, and every rule."""
    assert [*invariants.check_ledger(cast.tenant), *invariants.check_gate(cast.tenant)] == []
    assert books(cast.tenant).available == 25 * USD - spent_nusd
    with tenant_schema(cast.code):
        assert sum(row.cost_nusd for row in HourlyUsage.objects.all()) == spent_nusd
        assert sum(row.cost_nusd for row in DailyUsage.objects.all()) == spent_nusd
        for spend in KeySpend.objects.all():
            assert spend.cost_nusd == spent_nusd


def test_more_is_taken_and_less_is_given_back_by_an_entry_of_its_own(acme: Any, price: Any) -> None:
    more, less = booked(acme, price), booked(acme, price)

    assert corrected(acme, more, 12, 25)
    assert corrected(acme, less, 9, 11)

    assert_books_are_right(acme, cost(12, 25) + cost(9, 11))
    with tenant_schema(acme.code):
        entries = {x.reference: x for x in JournalEntry.objects.filter(kind="adjustment")}
        (line,) = entries[f"reconciled:{more.hex}"].postings.all()
        assert (line.source_id, line.destination_id) == ("credit", "usage")
        assert line.amount_nusd == cost(12, 25) - cost(10, 20)
        (line,) = entries[f"reconciled:{less.hex}"].postings.all()
        assert (line.source_id, line.destination_id) == ("usage", "credit")
        assert line.amount_nusd == cost(10, 20) - cost(9, 11)
        sums = UpstreamUsage.objects.get()
        assert sums.provider_cost_nusd == 21 * IN_NUSD + 36 * OUT_NUSD
    record = record_of(acme, more)
    assert (record.input_tokens, record.output_tokens) == (12, 25)
    assert (record.truth, record.cost_nusd) == ("reconciled", cost(12, 25))
    assert record.correction_nusd == cost(12, 25) - cost(10, 20)
    assert record.first_figures["cost_nusd"] == cost(10, 20)


@pytest.mark.parametrize("told", [(12, 25), (9, 11)])
def test_a_price_that_was_told_stands_and_the_tokens_are_put_right(
    acme: Any, price: Any, told: tuple[int, int]
) -> None:
    request_id = booked(acme, price, status="completed")

    assert corrected(acme, request_id, *told)

    record = record_of(acme, request_id)
    assert (record.input_tokens, record.output_tokens) == told
    assert (record.truth, record.correction_nusd) == ("reconciled", 0)
    assert record.first_figures["output_tokens"] == 20
    assert record.provider_cost_nusd == told[0] * IN_NUSD + told[1] * OUT_NUSD
    with tenant_schema(acme.code):
        assert not JournalEntry.objects.filter(kind="adjustment").exists()
    assert_books_are_right(acme, cost(10, 20))


def test_what_was_counted_right_is_confirmed_and_nothing_is_booked(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)

    assert corrected(acme, request_id, 10, 20)

    record = record_of(acme, request_id)
    assert (record.truth, record.first_figures, record.correction_nusd) == ("reconciled", None, 0)
    with tenant_schema(acme.code):
        assert not JournalEntry.objects.filter(kind="adjustment").exists()
    assert_books_are_right(acme, cost(10, 20))


def test_what_has_cost_nothing_may_cost_something_later(acme: Any, price: Any) -> None:
    """The key has spent nothing before, and has no sum."""
    request_id = booked(acme, price, tokens=(0, 1), cost_nusd=0)

    assert corrected(acme, request_id, 12, 25)

    with tenant_schema(acme.code):
        assert KeySpend.objects.count() == 3
    assert_books_are_right(acme, cost(12, 25))


def test_twice_is_once(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)

    assert corrected(acme, request_id, 12, 25)
    assert not corrected(acme, request_id, 99, 99)

    assert_books_are_right(acme, cost(12, 25))


def test_by_eight_threads_it_is_booked_once(acme: Any, price: Any) -> None:
    ids = [booked(acme, price) for _ in range(3)]

    def work(number: int) -> bool:
        try:
            return corrected(acme, ids[number % 3], 12, 25)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(24))) == 3

    assert_books_are_right(acme, 3 * cost(12, 25))


def test_while_others_are_settled(acme: Any, price: Any) -> None:
    ids = [booked(acme, price) for _ in range(6)]

    def fix(request_id: UUID) -> None:
        corrected(acme, request_id, 5, 5)
        connection.close()

    def call(_: int) -> None:
        booked(acme, price)
        connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fix, ids))
        list(pool.map(call, range(6)))

    settle_partition(partition=partition_of(acme.code))
    assert_books_are_right(acme, 6 * cost(5, 5) + 6 * cost(10, 20))


def test_a_crash_before_the_gate_was_told_is_healed_by_the_next_try(
    acme: Any, price: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = booked(acme, price)

    def crash(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(corrections, "sync_gate", crash)
        with pytest.raises(KeyboardInterrupt):
            corrected(acme, request_id, 12, 25)
    assert books(acme.tenant).available == 25 * USD - cost(10, 20)

    assert not corrected(acme, request_id, 12, 25)

    assert_books_are_right(acme, cost(12, 25))


def test_never_more_than_was_held(acme: Any, price: Any) -> None:
    request_id = booked(acme, price, held=cost(10, 20) + 5)

    corrected(acme, request_id, 10**6, 10**6)

    record = record_of(acme, request_id)
    assert record.cost_nusd == record.estimated_nusd == cost(10, 20) + 5
    # What it cost us is true all the same.
    assert record.provider_cost_nusd == 10**6 * (IN_NUSD + OUT_NUSD)
    assert_books_are_right(acme, cost(10, 20) + 5)


def test_more_output_than_was_asked_for_is_not_believed(acme: Any, price: Any) -> None:
    request_id = booked(acme, price, held=cost(15, 50))

    corrected(acme, request_id, 12, 9_000)

    record = record_of(acme, request_id)
    assert (record.input_tokens, record.output_tokens) == (12, 20)
    assert_books_are_right(acme, cost(12, 20))


def test_never_more_than_is_free(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)
    held = admit(event=event(acme, books(acme.tenant).available - 7))

    corrected(acme, request_id, 12, 25)

    assert record_of(acme, request_id).correction_nusd == 7
    assert books(acme.tenant).available == 0
    capture(held, held.event.with_(cost_nusd=0, status="empty"))
    settle_partition(partition=partition_of(acme.code))
    assert [*invariants.check_ledger(acme.tenant), *invariants.check_gate(acme.tenant)] == []


@pytest.mark.parametrize("period", ["day", "month", "life"])
def test_never_more_than_a_budget_of_the_key_leaves(acme: Any, price: Any, period: str) -> None:
    with tenant_schema(acme.code):
        key = ApiKey.objects.get()
        setattr(key, f"{period}_budget_nusd", cost(10, 20) + 3)
        key.save()
    request_id = booked(acme, price, key_id=key.key_id)

    corrected(acme, request_id, 12, 25)

    assert record_of(acme, request_id).correction_nusd == 3
    assert_books_are_right(acme, cost(10, 20) + 3)
    spent = get_redis().hget(gate.spend_key(acme.code, key.key_id), "life")
    assert int(spent) == cost(10, 20) + 3


@pytest.mark.parametrize("status", ["client_gone", "upstream_broke", "process_died"])
@pytest.mark.parametrize(("told", "paid"), [((12, 90), (12, 20)), ((12, 15), (12, 15))])
def test_a_cut_answer_costs_what_was_delivered_never_what_was_made(
    acme: Any, price: Any, status: str, told: tuple[int, int], paid: tuple[int, int]
) -> None:
    request_id = booked(acme, price, status=status)

    corrected(acme, request_id, *told, is_whole=False)

    record = record_of(acme, request_id)
    assert (record.input_tokens, record.output_tokens) == paid
    assert record.provider_cost_nusd == told[0] * IN_NUSD + told[1] * OUT_NUSD
    assert_books_are_right(acme, cost(*paid))


@pytest.mark.parametrize(
    ("status", "tokens"),
    [("empty", (10, 1)), ("upstream_failed", (0, 0)), ("client_gone", (0, 0))],
)
def test_what_was_free_stays_free_and_its_cost_to_us_is_told(
    acme: Any, price: Any, status: str, tokens: tuple[int, int]
) -> None:
    request_id = booked(
        acme, price, tokens=tokens, status=status, cost_nusd=0, provider_cost_nusd=0
    )

    corrected(acme, request_id, 12, 25, is_whole=False)

    record = record_of(acme, request_id)
    assert record.provider_cost_nusd == 12 * IN_NUSD + 25 * OUT_NUSD
    assert (record.input_tokens, record.output_tokens) == tokens
    assert_books_are_right(acme, 0)


@pytest.mark.parametrize("told", [(0, 25), (12, 0), (0, 0)])
def test_nothing_for_something_is_no_figure(acme: Any, price: Any, told: tuple[int, int]) -> None:
    request_id = booked(acme, price)

    assert not corrected(acme, request_id, *told)

    assert record_of(acme, request_id).truth == "counted"
    assert_books_are_right(acme, cost(10, 20))


def test_a_refund_of_all_leaves_books_that_agree(acme: Any, price: Any) -> None:
    """A key's spending of nothing is the sum of hours that cost nothing."""
    request_id = booked(acme, price, tokens=(1, 1))
    with tenant_schema(acme.code):
        free = set_price(
            ai_model="corrected-model",
            nusd={"input_tokens": Decimal(0), "output_tokens": Decimal(0)},
            markup_percent=Decimal(0),
            source=PriceVersion.Source.OPERATOR,
        )
        UsageRecord.objects.update(price_version_id=free.pk)

    corrected(acme, request_id, 1, 1)

    assert_books_are_right(acme, 0)


def test_a_call_of_long_ago_stays_as_it_is(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)
    with tenant_schema(acme.code):
        UsageRecord.objects.update(started_at=datetime.now(UTC) - timedelta(hours=24))

    assert not corrected(acme, request_id, 12, 25)

    assert record_of(acme, request_id).truth == "counted"


def test_archived_calls_keep_their_correction_and_get_no_other(
    acme: Any, price: Any, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ARCHIVE_DIR = str(tmp_path)
    monkeypatch.setattr(corrections, "_CORRECTED_UNTIL", timedelta(days=9))
    then = datetime.now(UTC) - timedelta(days=3)
    changed, other = booked(acme, price, started=then), booked(acme, price, started=then)
    corrected(acme, changed, 12, 25)

    archive_usage(tenant=acme.tenant, before=datetime.now(UTC) - timedelta(days=2))

    for request_id in (changed, other):
        assert not corrected(acme, request_id, 50, 50)
    assert_books_are_right(acme, cost(12, 25) + cost(10, 20))
    assert list(invariants.check_archives(acme.tenant)) == []
    with tenant_schema(acme.code):
        archive = UsageArchive.objects.get()
    assert archive.correction_nusd == cost(12, 25) - cost(10, 20)
    out = StringIO()
    call_command("explain", f"req_{changed.hex}", "--tenant", acme.tenant.slug, stdout=out)
    assert f"reconciled:{changed.hex}" in out.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE usage_usagearchive SET correction_nusd = correction_nusd + 1",
        "UPDATE ledger_posting SET amount_nusd = amount_nusd + 1 WHERE entry_id = "
        "(SELECT id FROM ledger_journalentry WHERE kind = 'adjustment')",
    ],
)
def test_damage_to_what_was_archived_is_seen(
    acme: Any, price: Any, tmp_path: Path, settings: Any, monkeypatch: Any, damage: str
) -> None:
    settings.ARCHIVE_DIR = str(tmp_path)
    monkeypatch.setattr(corrections, "_CORRECTED_UNTIL", timedelta(days=9))
    then = datetime.now(UTC) - timedelta(days=3)
    corrected(acme, booked(acme, price, started=then), 12, 25)
    archive_usage(tenant=acme.tenant, before=datetime.now(UTC) - timedelta(days=2))
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(damage)

    assert any("all corrections ever" in x for x in invariants.check_ledger(acme.tenant))


def test_an_hour_that_is_no_more_is_not_corrected_in_part(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)
    with tenant_schema(acme.code):
        kept = list(HourlyUsage.objects.all())
        HourlyUsage.objects.all().delete()

    with pytest.raises(LedgerError, match="no sum"):
        corrected(acme, request_id, 12, 25)

    with tenant_schema(acme.code):
        HourlyUsage.objects.bulk_create(kept)
    assert record_of(acme, request_id).truth == "counted"
    assert_books_are_right(acme, cost(10, 20))


def test_a_call_that_took_what_was_free_meanwhile_is_alarmed(
    acme: Any, price: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = booked(acme, price)
    free = books(acme.tenant)
    admit(event=event(acme, free.available))
    # As it was a moment before that call was admitted.
    seen = iter([free])
    monkeypatch.setattr(corrections, "books", lambda tenant: next(seen, None) or books(tenant))

    corrected(acme, request_id, 12, 25)

    short = cost(12, 25) - cost(10, 20)
    assert books(acme.tenant).available == -short
    assert f"below zero: -{short} nUSD" in caplog.text


def test_a_tenant_reads_of_its_correction(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)
    corrected(acme, request_id, 9, 11)

    _, key = create_api_key(tenant=acme.tenant, name="reader", actor="test", scopes=["usage"])
    client = Client(HTTP_AUTHORIZATION=f"Bearer {key}")
    told = client.get(f"/v1/usage/records/req_{request_id.hex}").json()
    export = client.get("/v1/usage/export")

    assert told["known_by"] == "reconciled"
    assert told["cost"] == format_usd(cost(9, 11))
    assert told["correction"] == format_usd(cost(9, 11) - cost(10, 20))
    assert isinstance(export, StreamingHttpResponse)
    lines = b"".join(export.streaming_content).decode()  # type: ignore[arg-type]
    assert told["correction"] in lines


def test_another_tenant_is_not_touched(acme: Any, globex: Any, price: Any) -> None:
    request_id = booked(acme, price)

    assert not corrected(globex, request_id, 12, 25)

    assert_books_are_right(acme, cost(10, 20))
    assert_books_are_right(globex, 0)


# --- which calls are awaited --------------------------------------------------------


def test_what_was_counted_is_awaited_and_what_was_told_is_not(acme: Any, price: Any) -> None:
    counted = booked(acme, price, status="completed")
    told = booked(acme, price, status="completed", truth="provider")

    row = AwaitedFigure.objects.get(pk=counted)
    assert (row.tenant_code, row.upstream, row.gateway_log_id) == (acme.code, "main", LOG)
    assert row.is_whole
    assert not AwaitedFigure.objects.filter(pk=told).exists()


def test_an_answer_that_we_have_cut_is_not_whole(acme: Any, price: Any) -> None:
    for fields in ({"is_cut": True, "status": "completed"}, {"status": "client_gone"}):
        request_id = booked(acme, price, **fields)
        assert not AwaitedFigure.objects.get(pk=request_id).is_whole


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway_log_id": ""},
        {"upstream": ""},
        {"answers": 2},
        {"answers": 0},
        {"quantities": {"audio_minute": "1"}},
        {"cache_status": "HIT"},
        {"truth": "provider"},
    ],
)
def test_calls_that_the_log_cannot_tell(acme: Any, fields: dict[str, Any]) -> None:
    base = {"gateway_log_id": LOG, "upstream": "main", "answers": 1, "truth": "counted"}

    assert can_be_told(event(acme, 1, **base))
    assert not can_be_told(event(acme, 1, **{**base, **fields}))


# --- the rules notice ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("UPDATE usage_usagerecord SET correction_nusd = correction_nusd + 1", "amount is their"),
        (
            "UPDATE usage_usagerecord SET correction_nusd = 0, cost_nusd = cost_nusd - "
            "correction_nusd WHERE correction_nusd <> 0",
            "corrections",
        ),
        (
            "UPDATE ledger_posting SET amount_nusd = amount_nusd + 1 WHERE entry_id = "
            "(SELECT id FROM ledger_journalentry WHERE kind = 'adjustment')",
            "corrections are booked",
        ),
        (
            "UPDATE ledger_journalentry SET kind = 'grant' WHERE kind = 'adjustment'",
            "corrections are booked",
        ),
        ("UPDATE usage_upstreamusage SET provider_cost_nusd = 1", "sums by account"),
    ],
)
def test_damage_to_a_correction_is_seen(acme: Any, price: Any, damage: str, rule: str) -> None:
    corrected(acme, booked(acme, price), 12, 25)
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(damage)

    assert any(rule in fault for fault in invariants.check_ledger(acme.tenant))


def test_explain_tells_of_the_correction(acme: Any, price: Any) -> None:
    request_id = booked(acme, price)
    corrected(acme, request_id, 12, 25)
    out = StringIO()

    call_command("explain", f"req_{request_id.hex}", "--tenant", acme.tenant.slug, stdout=out)

    text = out.getvalue()
    assert "reconciled" in text
    assert "10 input_tokens, 20 output_tokens" in text
    assert f"reconciled:{request_id.hex}" in text
    assert "taken besides" in text
