"""Our books against Cloudflare's, end to end: against what the stand-in has really billed."""

import http.client
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis
import requests
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from agentflare.partitions import PARTITIONS
from billing import invariants
from billing.ledger.services import LedgerError
from billing.reconciliation import comparing
from billing.reconciliation.models import AwaitedFigure, UpstreamDay
from billing.reconciliation.tests.test_sums import audit_no_tenant
from billing.settlement.services import settle_partition
from billing.usage.models import UsageRecord
from inference.reconciliation import services
from inference.reconciliation.services import collect_figures, reconcile
from inference.tests.settled import nusd, say, settled_record, settled_records, wait_for
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.selectors import environment_account
from inference.workers_ai.afterwards import AfterwardsError, LogRow, log_row, neurons_by_model
from tenants.registry.schemas import tenant_schema

NATIVE = "llama-3.3-70b-fast"
OPENAI_FORM = "qwen-3-30b"
BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI_FORM])


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture(autouse=True)
def _as_the_product(gateway: Any, settings: Any) -> Iterator[None]:
    """Services that a test calls itself know the account that the running product calls."""
    settings.CLOUDFLARE_ACCOUNT_ID = settings.CLOUDFLARE_API_TOKEN = "sandbox"
    settings.CLOUDFLARE_BASE_URL = gateway.sandbox.env["CLOUDFLARE_BASE_URL"]
    settings.CLOUDFLARE_GATEWAY_ID = "agentflare"
    yield
    drift(gateway, "DELETE")
    UpstreamDay.objects.all().delete()


def drift(gateway: Any, method: str = "PUT", **how: Any) -> None:
    base = gateway.sandbox.env["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4")
    requests.request(method, f"{base}/__sandbox/drift", json=how, timeout=5).raise_for_status()


def today() -> date:
    return datetime.now(UTC).date()


def differences() -> dict[str, Decimal]:
    """AI model → Cloudflare's neurons less ours, of today."""
    rows = reconcile(days=[today()]).rows
    return {row.upstream_model: row.difference or Decimal(0) for row in rows}


def differences_at_rest() -> dict[str, Decimal]:
    """Those that stay: calls of earlier tests may still be on their way into the books, or wait
    for their figures, and would move the sums of models."""
    seen: list[dict[str, Decimal]] = []

    def at_rest() -> bool:
        for partition in range(PARTITIONS):
            settle_partition(partition=partition)
        mine = AwaitedFigure.objects.filter(upstream="environment").exclude(tenant_code="nobody")
        mine.update(due_at=timezone.now())
        collect_figures()
        time.sleep(0.7)
        seen.append(differences())
        return len(seen) > 3 and all(sums == seen[-1] for sums in seen[-4:])

    wait_for(at_rest)
    return seen[-1]


@pytest.fixture
def today_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in bills today; its figures do not lag."""
    monkeypatch.setattr(comparing, "LAG", timedelta(days=-1))


def leave_early(gateway: Any, cast: Any, text: str, model: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
    headers = {**cast.auth, "Content-Type": "application/json", "Connection": "close"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    wire = connection.getresponse()
    got = 0
    while got < 3:
        got += b"tok" in wire.readline()
    wire.close()


def reconciled(cast: Any) -> UsageRecord:
    """The tenant's only record, once the log has been read; the running worker does it as well."""

    def look() -> UsageRecord | None:
        with tenant_schema(cast.code):
            return UsageRecord.objects.filter(truth="reconciled").first()

    settled_record(cast)
    record: UsageRecord = wait_for(look, timeout_s=30)
    wait_for(lambda: not AwaitedFigure.objects.filter(pk=record.pk).exists())
    assert [*invariants.check_ledger(cast.tenant), *invariants.check_gate(cast.tenant)] == []
    return record


# --- whole days ---------------------------------------------------------------------


def test_all_kinds_of_calls_add_up_to_what_cloudflare_has_billed(gateway: Any) -> None:
    before = differences_at_rest()
    cast, other = gateway.cast(), gateway.cast(name="globex")
    for model in (NATIVE, OPENAI_FORM):
        gateway.chat(cast, say(tokens=7), model=model)
        gateway.chat(other, say(tokens=9), model=model, stream=True)
        gateway.chat(cast, say(tokens=9, error_times=1, error=True, id=cast.code), model=model)
    texts = [f"text {number}" for number in range(3)]
    gateway.post(cast, "embeddings", {"model": "bge-m3", "input": texts})
    image = {"model": "phoenix-1", "prompt": "a boat", "size": "512x512"}
    assert gateway.post(cast, "images/generations", image).status_code == 200
    speech = {"model": "aura-1", "input": "Good morning", "voice": "angus"}
    assert gateway.post(cast, "audio/speech", speech).status_code == 200
    settled_records(cast, 7)
    settled_records(other, 2)

    changes = {model: drift - before.get(model, 0) for model, drift in differences().items()}

    assert UpstreamDay.objects.filter(upstream="environment").count() >= 5
    # Each call's cost is rounded up to a whole nUSD.
    assert all(abs(change) < Decimal("0.01") for change in changes.values()), changes


@BOTH_FORMS
def test_streams_that_clients_leave_add_up_once_the_log_was_read(
    gateway: Any, cast: Any, model: str
) -> None:
    before = differences_at_rest()
    leave_early(gateway, cast, say(tokens=300, chunk_ms=20), model)
    record = reconciled(cast)

    changes = {name: drift - before.get(name, 0) for name, drift in differences().items()}

    assert record.status == "client_gone"
    assert abs(changes[record.upstream_model]) < Decimal("0.01")
    # It pays for what it got.
    assert record.output_tokens < 300
    assert record.correction_nusd == record.cost_nusd - (record.first_figures or {}).get(
        "cost_nusd", record.cost_nusd
    )


@pytest.mark.usefixtures("today_is_over")
def test_the_command_tells_of_drift_and_of_its_end(
    gateway: Any, cast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    # Other tests have called it, and not all of that is corrected yet.
    before = differences_at_rest().get(name, Decimal(0))
    gateway.chat(cast, say(tokens=2000), model=NATIVE, max_tokens=3000)
    settled_record(cast)
    drift(gateway, percent=-50)
    out = StringIO()

    with pytest.raises(CommandError, match="beyond tolerance"):
        call_command("reconcile", "--day", today().isoformat(), stdout=out)

    assert f"environment {name}: Cloudflare" in out.getvalue()
    audit_no_tenant(monkeypatch)
    faults = [line for line in invariants.check_all() if "reconciliation" in line]
    assert any("llama-3.3-70b" in line for line in faults)
    drift(gateway, "DELETE")
    # The call alone was of 400 neurons.
    assert abs(differences()[name] - before) < 40


def test_figures_that_lag_arrive_at_a_later_look(gateway: Any, cast: Any) -> None:
    before = differences_at_rest()
    drift(gateway, lag_s=3600)
    gateway.chat(cast, say(tokens=2000), model=NATIVE, max_tokens=3000)
    name = settled_record(cast).upstream_model
    assert differences()[name] < before.get(name, 0) - 10
    row = UpstreamDay.objects.get(upstream="environment", upstream_model=name, day=today())
    assert row.state == "waiting"

    drift(gateway, "DELETE")

    assert abs(differences()[name] - before.get(name, 0)) < Decimal("0.01")


def test_cloudflare_that_does_not_answer_is_told_and_keeps_back_nothing(
    gateway: Any, cast: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.chat(cast, say(tokens=3), model=NATIVE)
    settled_record(cast)
    drift(gateway, fails=True)

    options = ["--day", today().isoformat(), "--account", "environment"]
    with caplog.at_level(logging.ERROR), pytest.raises(CommandError, match="1 days of accounts"):
        call_command("reconcile", *options, stdout=StringIO())

    assert "unable to execute query" in caplog.text
    row = UpstreamDay.objects.filter(upstream="environment").first()
    assert row is not None
    assert (row.state, row.cloudflare_neurons) == ("unknown", None)
    assert "unable to execute query" in row.problem


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--account", "nobody"], "no Cloudflare account 'nobody'"),
        (["--day", "2999-01-01"], "has not begun"),
    ],
)
def test_what_cannot_be_looked_at_is_said_so(options: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("reconcile", *options, stdout=StringIO())


def test_a_past_day_of_which_nobody_knows_anything(gateway: Any) -> None:
    out = StringIO()

    call_command("reconcile", "--day", str(today() - timedelta(days=9)), stdout=out)

    assert "Nothing was used" in out.getvalue()


def test_an_account_that_cannot_be_asked_is_told_though_nothing_is_known_of_it(
    gateway: Any,
) -> None:
    drift(gateway, fails=True)
    out = StringIO()

    with pytest.raises(CommandError, match="0 of 0 rows are beyond tolerance, 1 days"):
        call_command("reconcile", "--day", str(today() - timedelta(days=9)), stdout=out)

    assert "environment: status 503: unable to execute query" in out.getvalue()


def test_an_account_that_was_used_and_is_no_more_is_told(gateway: Any) -> None:
    day = today() - timedelta(days=9)
    UpstreamDay.objects.create(day=day, upstream="removed", upstream_model="@cf/x/y", calls=1)
    out = StringIO()

    with pytest.raises(CommandError, match="1 days of accounts"):
        call_command("reconcile", "--day", str(day), "--account", "removed", stdout=out)

    assert "removed: was used, and is no account that we know of any more" in out.getvalue()


def test_an_account_that_fails_keeps_back_no_other(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(account: Account, day: date) -> dict[str, Decimal]:
        if account.name == "one":
            raise AfterwardsError("status 500")
        return {"@cf/x/y": Decimal(3)}

    accounts = {
        name: Account(name, WORKERS_AI, "http://127.0.0.1:9", name, "t", "g")
        for name in ("one", "two")
    }
    pool = services.Pool(accounts, {name: name for name in accounts}, frozenset(), {})
    monkeypatch.setattr(services, "read_pool", lambda: pool)
    monkeypatch.setattr(services, "neurons_by_model", tell)

    # A day that no other test has calls on.
    day = today() - timedelta(days=9)
    outcome = reconcile(days=[day])

    assert [(row.upstream, row.state) for row in outcome.rows if row.cloudflare_neurons] == [
        ("two", "within")
    ]
    assert outcome.problems == [f"{day} one: status 500"]


# --- single calls -------------------------------------------------------------------


@BOTH_FORMS
def test_a_stream_without_usage_is_corrected_by_the_log(
    gateway: Any, cast: Any, model: str
) -> None:
    billed = {"prompt_tokens": 30, "completion_tokens": 14}
    answer = gateway.chat(
        cast,
        say(tokens=12, no_usage=True, billed=billed),
        model=model,
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=50,
    )
    told = json.loads(answer.text.split("\n\n")[-3][6:])["usage"]["request_cost"]
    record = reconciled(cast)

    assert record.cost_nusd == nusd(told)  # what was told stands
    assert (record.input_tokens, record.output_tokens) == (30, 14)
    assert record.first_figures["truth"] == "counted"
    assert record.first_figures["output_tokens"] == 12
    assert 0 < record.cost_nusd <= record.estimated_nusd


def test_what_the_log_has_less_is_given_back(gateway: Any, cast: Any) -> None:
    billed = {"prompt_tokens": 5, "completion_tokens": 2}
    leave_early(gateway, cast, say(tokens=300, chunk_ms=50, billed=billed), NATIVE)
    record = reconciled(cast)

    assert record.correction_nusd < 0
    assert (record.input_tokens, record.output_tokens) == (5, 2)


def test_a_client_that_left_never_pays_for_more_than_it_got(gateway: Any, cast: Any) -> None:
    billed = {"prompt_tokens": 12, "completion_tokens": 290}
    leave_early(gateway, cast, say(tokens=300, chunk_ms=50, billed=billed), NATIVE)
    record = reconciled(cast)

    assert record.output_tokens < 100
    assert record.input_tokens == 12
    assert record.provider_cost_nusd > record.cost_nusd  # made for nobody: ours to pay


def test_an_answer_that_was_told_is_not_looked_up(gateway: Any, cast: Any) -> None:
    gateway.chat(cast, say(tokens=12), stream=True)
    record = settled_record(cast)

    assert record.truth == "provider"
    assert record.gateway_log_id
    assert not AwaitedFigure.objects.filter(pk=record.pk).exists()


def awaited(name: str, log_id: str) -> AwaitedFigure:
    return AwaitedFigure.objects.create(
        request_id=uuid4(),
        tenant_code="nobody",
        upstream=name,
        gateway_log_id=log_id,
        is_whole=True,
        due_at=timezone.now() - timedelta(days=1),
    )


def test_a_row_that_does_not_come_is_waited_for_longer_and_longer_then_given_up() -> None:
    row = awaited("environment", "01NEVER")
    pauses = []
    for _ in range(4):
        AwaitedFigure.objects.filter(pk=row.pk).update(due_at=timezone.now())
        wait_for(lambda: collect_figures() >= 0 and _tries(row.pk) > len(pauses))
        found = AwaitedFigure.objects.get(pk=row.pk)
        pauses.append((found.due_at - timezone.now()).total_seconds())
    assert pauses == sorted(pauses)
    assert 5 < pauses[0] < pauses[-1]

    AwaitedFigure.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(days=1))
    collect_figures()
    assert not AwaitedFigure.objects.filter(pk=row.pk).exists()


def _tries(request_id: UUID) -> int:
    return AwaitedFigure.objects.get(pk=request_id).tries


@pytest.mark.parametrize(
    ("error", "times"),
    [(LedgerError("no sum"), 3), (redis.ConnectionError("down"), 1)],
    ids=["one that cannot be corrected keeps back no other", "without Redis all wait"],
)
def test_what_cannot_be_corrected_now_is_not_forgotten(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, times: int
) -> None:
    rows = [awaited("environment", f"01Y{number}") for number in range(3)]
    tried = []

    def fail(**of: Any) -> None:
        tried.append(of["request_id"])
        raise error

    monkeypatch.setattr(services, "log_row", lambda account, log_id: LogRow(3, 0, 4, False))
    monkeypatch.setattr(services, "correct", fail)
    monkeypatch.setattr(services.awaited, "awaited_upstreams", lambda now: ["environment"])
    # The running worker is not to take them first.
    monkeypatch.setattr(services.awaited, "claim", lambda *_, **__: rows)

    assert collect_figures() == 0

    assert tried == [row.pk for row in rows[:times]]
    assert AwaitedFigure.objects.filter(pk__in=tried).count() == times
    AwaitedFigure.objects.filter(pk__in=[row.pk for row in rows]).delete()


@pytest.mark.parametrize(
    ("is_for_all", "times"),
    [(True, 1), (False, 5)],
    ids=["the account's fault", "the single rows'"],
)
def test_an_account_that_refuses_is_left_alone_for_a_while(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, is_for_all: bool, times: int
) -> None:
    name = f"gone-{uuid4().hex[:8]}"
    rows = [
        AwaitedFigure(pk=uuid4(), upstream=name, gateway_log_id=f"01X{number}")
        for number in range(5)
    ]
    asked = []

    def refuse(account: Account, log_id: str) -> None:
        asked.append(log_id)
        raise AfterwardsError("status 401", is_for_all=is_for_all)

    account = Account(name, WORKERS_AI, "http://127.0.0.1:9", "a", "t", "g")
    monkeypatch.setattr(services, "account_named", lambda wanted: account)
    monkeypatch.setattr(services, "log_row", refuse)
    # The running worker is not to take them first.
    monkeypatch.setattr(services.awaited, "awaited_upstreams", lambda now: [name])
    monkeypatch.setattr(services.awaited, "claim", lambda *_, **__: rows)

    collect_figures()
    assert len(asked) == times
    if is_for_all:
        collect_figures()
        assert len(asked) == times


# --- the client ---------------------------------------------------------------------


def test_a_bad_token_a_dead_host_and_a_page_are_told_clearly(gateway: Any) -> None:
    account = environment_account()
    assert account is not None
    for changes, words in (
        ({"api_token": ""}, "status 401: Unauthorized. The token needs"),
        ({"base_url": "http://127.0.0.1:9/client/v4"}, "is not reached"),
        ({"base_url": gateway.url}, "status 40"),
    ):
        bad = Account(
            **{
                "name": "bad",
                "provider": WORKERS_AI,
                "base_url": account.base_url,
                "account_id": "sandbox",
                "api_token": "sandbox",
                "gateway_id": "agentflare",
                **changes,
            }
        )
        with pytest.raises(AfterwardsError, match=words):
            neurons_by_model(bad, today())


def test_a_log_that_is_not_there_is_none(gateway: Any) -> None:
    account = environment_account()
    assert account is not None

    assert log_row(account, "01NOTHING") is None
