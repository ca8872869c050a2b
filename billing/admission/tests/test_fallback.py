"""Without Redis PostgreSQL admits and books, within bounds; Redis is told when it is back.

Each test stops a Valkey of its own: killed, paused (SIGSTOP), or emptied.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from redis.exceptions import NoScriptError

from agentflare.errors import (
    CreditError,
    CreditHeldError,
    InsufficientCreditError,
    InvalidApiKeyError,
    KeyBudgetError,
    RateLimitError,
    ServiceUnavailableError,
)
from agentflare.redis_store import breaker, get_redis
from billing.admission import fallback, gate, live_holds, outage, peers, recovery, services
from billing.admission.gate import Gate
from billing.admission.live_holds import Hold
from billing.admission.models import FallbackHold, GateProcess, GateStanding
from billing.admission.rules import Rules
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import USD, event, outbox_of
from billing.admission.warmth import warm_up
from billing.invariants import check_gate, check_ledger
from billing.ledger.services import credit_account
from billing.settlement.services import settle_partition
from billing.settlement.sweeper import expire_holds
from billing.usage.models import UsageRecord
from tenants.keys.lookup import forget_all, note_use, resolve_key
from tenants.keys.models import ApiKey
from tenants.limits import Budgets, Limits
from tenants.registry.schemas import tenant_schema

MILLI = USD // 1_000


@pytest.fixture(autouse=True)
def _alone(own_redis: Any, settings: Any) -> Iterator[None]:
    """Nobody else has to notice an outage first."""
    settings.FALLBACK_GRACE_S = 0
    yield
    for model in (FallbackHold, GateProcess):
        model.objects.filter(redis=outage.redis_name()).delete()


@contextmanager
def paused(server: Any) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def wait_until_redis_admits() -> None:
    wait_until(lambda: not outage.is_on())


def end(hold: Hold, cost_nusd: int) -> int:
    return capture(hold, hold.event.with_(cost_nusd=cost_nusd)).cost_nusd


def wait_until_booked(cast: Any, spent_nusd: int) -> None:
    wait_until(lambda: balance(cast) == 25 * USD - spent_nusd)


def balance(cast: Any) -> int:
    with tenant_schema(cast.code):
        return credit_account().balance_nusd


def settle(cast: Any) -> None:
    settle_partition(partition=gate.partition_of(cast.code))


def assert_all_agrees(cast: Any, *, spent_nusd: int) -> None:
    """Gate, ledger and records, with nothing running and nothing left over."""
    settle(cast)
    assert books(cast.tenant) == Gate(posted=25 * USD - spent_nusd, held=0, unsettled=0)
    assert balance(cast) == 25 * USD - spent_nusd
    assert list(check_ledger(cast.tenant)) == []
    assert list(check_gate(cast.tenant)) == []
    assert not FallbackHold.objects.filter(redis=outage.redis_name()).exists()
    assert not GateStanding.objects.filter(
        redis=outage.redis_name(), down_since__isnull=False
    ).exists()


# --- entered, used and left -----------------------------------------------------


def test_calls_go_on_while_redis_is_dead_and_it_is_told_of_them_afterwards(
    acme: Any, own_redis: Any
) -> None:
    before = admit(event=event(acme, 10 * MILLI))
    own_redis.kill()

    assert end(before, 3 * MILLI) == 3 * MILLI
    after = admit(event=event(acme, 10 * MILLI))
    assert after.available_nusd == 25 * USD - 3 * MILLI - 10 * MILLI
    running = admit(event=event(acme, 20 * MILLI))
    assert end(after, 4 * MILLI) == 4 * MILLI
    assert balance(acme) == 25 * USD - 7 * MILLI

    own_redis.start_again()
    wait_until_redis_admits()
    assert books(acme.tenant) == Gate(posted=25 * USD - 7 * MILLI, held=20 * MILLI, unsettled=0)
    assert end(running, 5 * MILLI) == 5 * MILLI
    assert_all_agrees(acme, spent_nusd=12 * MILLI)


def test_a_paused_redis_is_waited_for_once_and_what_it_does_late_changes_nothing(
    acme: Any, own_redis: Any
) -> None:
    before = admit(event=event(acme, 10 * MILLI))
    with paused(own_redis):
        started = time.monotonic()
        first = admit(event=event(acme, 10 * MILLI))
        first_s = time.monotonic() - started

        started = time.monotonic()
        second = admit(event=event(acme, 10 * MILLI))
        end(before, 1 * MILLI)
        assert time.monotonic() - started < first_s
        end(first, 2 * MILLI)

    # Now Redis does what it was asked before: it admits `first` once more.
    wait_until_redis_admits()
    end(second, 3 * MILLI)
    assert_all_agrees(acme, spent_nusd=6 * MILLI)


def test_a_capture_that_redis_takes_late_counts_once(acme: Any, own_redis: Any) -> None:
    hold, other = (admit(event=event(acme, 10 * MILLI)) for _ in range(2))
    end(other, 0)  # Redis knows the script now
    with paused(own_redis):
        assert end(hold, 7 * MILLI) == 7 * MILLI
        assert balance(acme) == 25 * USD - 7 * MILLI

    wait_until(lambda: len(outbox_of(acme)) == 2)
    recovery.recover()
    assert_all_agrees(acme, spent_nusd=7 * MILLI)
    with tenant_schema(acme.code):
        assert UsageRecord.objects.count() == 2


def test_after_a_pause_longer_than_holds_live_the_calls_that_run_keep_theirs(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    expire_holds()
    settings.HOLD_TTL_S = 1
    hold = admit(event=event(acme, 10 * MILLI))
    with paused(own_redis):
        admit(event=event(acme, 10 * MILLI))
        time.sleep(2)
    wait_until_redis_admits()
    get_redis().hset("{p0}:sweeper", mapping={"seen": 1, "back": 1})
    assert expire_holds() == 0

    assert end(hold, 2 * MILLI) == 2 * MILLI
    assert not hold.lost


def test_what_a_worker_has_not_settled_is_not_lost_with_redis(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    """However long the worker has been standing still."""
    settings.CAPTURE_REPLAY_S = 0.2
    end(admit(event=event(acme, 10 * MILLI)), 3 * MILLI)
    time.sleep(0.3)
    live_holds.forget_old_captures()

    get_redis().flushall()

    wait_until_booked(acme, 3 * MILLI)


def test_captures_are_forgotten_when_they_are_settled(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    settings.CAPTURE_REPLAY_S = 0.2
    for _ in range(3):
        end(admit(event=event(acme, 10 * MILLI)), 3 * MILLI)
    settle_partition(partition=gate.partition_of(acme.code))
    time.sleep(0.3)

    live_holds.forget_old_captures()

    # Nothing is booked early in an outage that comes now.
    assert not live_holds.unsettled_captures()


def test_an_outage_that_somebody_ends_just_after_it_was_opened_is_seen_anew(
    acme: Any, own_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(admit(event=event(acme, 1 * MILLI)), 0)
    outage.enter("slow for once")
    opened = []

    def open_and_end(*parts: int) -> None:
        opened.append(True)
        outage.leave()

    monkeypatch.setattr(fallback, "open_outage", open_and_end)
    end(admit(event=event(acme, 1 * MILLI)), 0)
    assert opened
    assert not outage.is_on()


# --- bounds ---------------------------------------------------------------------


def test_no_overdraft_however_many_race(acme: Any, own_redis: Any, settings: Any) -> None:
    settings.FALLBACK_ALLOWANCE_NUSD = 100 * USD
    admit(event=event(acme, 0))
    own_redis.kill()
    wait_until(outage.has_told_all)

    def call(_: int) -> Hold | None:
        try:
            return admit(event=event(acme, 4 * USD))
        except CreditError:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        holds = [hold for hold in pool.map(call, range(40)) if hold]

    assert len(holds) == 6
    with pytest.raises(CreditHeldError):
        admit(event=event(acme, 4 * USD))
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 26 * USD))
    own_redis.start_again()
    wait_until_redis_admits()
    assert books(acme.tenant) == Gate(posted=25 * USD, held=24 * USD, unsettled=0)
    for hold in holds:
        end(hold, 4 * USD)
    assert_all_agrees(acme, spent_nusd=24 * USD)


def test_what_redis_held_before_is_not_lent_again(acme: Any, own_redis: Any, settings: Any) -> None:
    settings.FALLBACK_ALLOWANCE_NUSD = 100 * USD
    held = admit(event=event(acme, 20 * USD))
    unsettled = admit(event=event(acme, 2 * USD))
    end(unsettled, 2 * USD)
    own_redis.kill()
    # At first it is not known what is running.
    with pytest.raises(ServiceUnavailableError, match="not known yet") as refusal:
        admit(event=event(acme, 1 * USD))
    assert float(refusal.value.headers["retry-after"]) >= 1

    wait_until(outage.has_told_all)
    assert balance(acme) == 23 * USD
    with pytest.raises(CreditHeldError):
        admit(event=event(acme, 4 * USD))
    last = admit(event=event(acme, 3 * USD))

    own_redis.start_again()
    wait_until_redis_admits()
    end(held, 1 * USD)
    end(last, 1 * USD)
    assert_all_agrees(acme, spent_nusd=4 * USD)


def test_one_outage_lends_a_tenant_no_more_than_its_allowance(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    settings.FALLBACK_ALLOWANCE_NUSD = 50 * MILLI
    own_redis.kill()
    first = admit(event=event(acme, 20 * MILLI))
    end(first, 20 * MILLI)
    admit(event=event(acme, 30 * MILLI))

    with pytest.raises(ServiceUnavailableError, match="lend"):
        admit(event=event(acme, 1))


def test_limits_and_budgets_hold_without_redis(acme: Any, own_redis: Any) -> None:
    own_redis.kill()

    def call(rules: Rules, tokens: int = 10, **fields: Any) -> Hold:
        return admit(event=event(acme, 10, **fields), tokens=tokens, rules=rules)

    of_two = Rules(key=Limits(requests_per_minute=2))
    call(of_two, key_id="aaaaaaaa")
    end(call(of_two, key_id="aaaaaaaa"), 1)
    with pytest.raises(RateLimitError, match="requests per minute"):
        call(of_two, key_id="aaaaaaaa")
    call(of_two, key_id="bbbbbbbb")

    at_once = Rules(key=Limits(concurrent_calls=1))
    running = call(at_once, key_id="cccccccc")
    with pytest.raises(RateLimitError, match="concurrent"):
        call(at_once, key_id="cccccccc")
    end(running, 1)
    end(call(at_once, key_id="cccccccc"), 1)

    of_tokens = Rules(key=Limits(tokens_per_minute=100))
    call(of_tokens, tokens=60, key_id="dddddddd")
    with pytest.raises(RateLimitError, match="tokens per minute"):
        call(of_tokens, tokens=60, key_id="dddddddd")

    budget = Rules(budgets=Budgets(life_nusd=15))
    call(budget, key_id="eeeeeeee")
    with pytest.raises(KeyBudgetError):
        call(budget, key_id="eeeeeeee")


def test_keys_are_known_without_redis_and_revoked_ones_are_not(acme: Any, own_redis: Any) -> None:
    own_redis.kill()
    record = resolve_key(acme.key)
    assert record.tenant_code == acme.code
    note_use(record, ip="127.0.0.1")

    with tenant_schema(acme.code):
        ApiKey.objects.update(revoked_at=timezone.now())
    forget_all()
    with pytest.raises(InvalidApiKeyError, match="revoked"):
        resolve_key(acme.key)


# --- a Redis that has lost everything -------------------------------------------


def test_an_emptied_redis_lends_nothing_that_running_calls_hold(acme: Any, own_redis: Any) -> None:
    running = [admit(event=event(acme, 6 * USD)) for _ in range(4)]
    captured = admit(event=event(acme, 1 * USD))
    end(captured, 1 * USD)
    get_redis().flushall()

    for _ in range(3):
        with pytest.raises((ServiceUnavailableError, CreditError)):
            admit(event=event(acme, 6 * USD))
    wait_until_redis_admits()
    settle(acme)
    assert books(acme.tenant) == Gate(posted=24 * USD, held=24 * USD, unsettled=0)
    with pytest.raises(CreditHeldError):
        admit(event=event(acme, 1 * USD))
    for hold in running:
        end(hold, 2 * USD)
    assert_all_agrees(acme, spent_nusd=9 * USD)


def test_an_emptied_redis_is_made_again_when_every_living_process_has_told(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    settings.FALLBACK_ALLOWANCE_NUSD = 100 * USD
    hold = admit(event=event(acme, 6 * USD))
    others = GateProcess.objects.filter(name="other")
    GateProcess.objects.create(name="other", redis=outage.redis_name(), seen_at=timezone.now())
    get_redis().flushall()
    wait_until(outage.has_told_all)

    assert not recovery.recover()
    with pytest.raises(ServiceUnavailableError, match="not known yet"):
        admit(event=event(acme, 1 * USD))
    assert peers.all_have_told(down_for_s=settings.HOLD_TTL_S), "it is dead by then"
    others.update(seen_at=timezone.now() - timedelta(minutes=2))
    assert peers.all_have_told(down_for_s=1), "it was dead before"
    others.update(seen_at=timezone.now(), told_at=timezone.now())
    wait_until_redis_admits()
    end(hold, 1 * USD)
    assert_all_agrees(acme, spent_nusd=1 * USD)


def test_a_process_that_starts_in_an_outage_keeps_nobody_waiting(acme: Any, own_redis: Any) -> None:
    recovery.is_new_redis()
    GateProcess.objects.create(name="other", redis=outage.redis_name(), seen_at=timezone.now())
    fallback.open_outage()
    get_redis().flushall()

    admit(event=event(acme, 10 * MILLI))

    assert outage.is_on()
    GateProcess.objects.filter(name="other").delete()
    assert peers.all_have_told(down_for_s=1)


def test_a_redis_that_is_emptied_while_the_ledger_is_asked_is_no_fault_of_ours(
    acme: Any, own_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(admit(event=event(acme, 1 * USD)), 0)

    def warm_up_in_vain(tenant_code: str) -> None:
        warm_up(tenant_code)
        get_redis().flushall()

    monkeypatch.setattr(services, "warm_up", warm_up_in_vain)
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 26 * USD))
    assert outage.is_on()


def test_a_script_that_redis_has_just_forgotten_counts_as_an_outage(
    acme: Any, own_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def forgetful(*args: Any, **options: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise NoScriptError("No matching script. Please use EVAL.")
        return ask(*args, **options)

    ask = gate.admit
    monkeypatch.setattr(gate, "admit", forgetful)
    hold = admit(event=event(acme, 1 * USD))
    assert len(asked) > 1
    end(hold, 1 * USD)
    settle(acme)
    assert_all_agrees(acme, spent_nusd=1 * USD)


def test_an_emptied_redis_is_noticed_without_a_call(acme: Any, own_redis: Any) -> None:
    hold = admit(event=event(acme, 6 * USD))
    get_redis().flushall()

    wait_until(outage.is_on)
    wait_until_redis_admits()
    assert books(acme.tenant).held == 6 * USD
    end(hold, 1 * USD)
    assert_all_agrees(acme, spent_nusd=1 * USD)


def test_a_new_redis_is_no_outage(acme: Any, own_redis: Any) -> None:
    end(admit(event=event(acme, 25 * USD)), 0)

    assert not outage.is_on()


# --- processes that die ---------------------------------------------------------


def test_the_hold_of_a_process_that_died_in_the_outage_is_captured_for_its_progress(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    own_redis.kill()
    hold = admit(event=event(acme, 10 * MILLI))
    hold.progress = lambda: hold.event.with_(cost_nusd=3 * MILLI)
    live_holds.live_without_redis()
    live_holds.remove(hold)  # dead
    own_redis.start_again()
    wait_until_redis_admits()

    assert books(acme.tenant).held == 10 * MILLI
    partition = gate.partition_of(acme.code)
    get_redis().zadd(gate.holds_key(partition), {hold.request_id: 1})
    assert gate.expire(partition=partition, request_id=hold.request_id)
    assert_all_agrees(acme, spent_nusd=3 * MILLI)


def test_whoever_comes_first_tells_redis_what_a_dead_process_has_booked(
    acme: Any, own_redis: Any
) -> None:
    hold = admit(event=event(acme, 10 * MILLI))
    with paused(own_redis):
        end(hold, 2 * MILLI)
        admit(event=event(acme, 1))
        live_holds.forget_all()
        outage.forget()

    wait_until(breaker.ask)
    assert recovery.recover()
    settle(acme)
    assert books(acme.tenant) == Gate(posted=25 * USD - 2 * MILLI, held=1, unsettled=0)


# --- calls that are refused while Redis stands still ------------------------------


def test_what_redis_admits_too_late_for_a_call_that_was_refused_is_given_back(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    end(admit(event=event(acme, 1 * USD)), 0)
    settings.FALLBACK_ALLOWANCE_NUSD = 0
    refused = event(acme, 5 * USD)
    with paused(own_redis), pytest.raises(ServiceUnavailableError):
        admit(event=refused)
    services.give_up(refused)

    wait_until_redis_admits()
    live_holds.end_unwanted()
    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=0)
    expire_holds()
    settle(acme)
    with tenant_schema(acme.code):
        assert UsageRecord.objects.count() == 1, "nothing is booked for it"
    assert_all_agrees(acme, spent_nusd=0)


def test_one_that_is_still_in_its_backlog_finds_that_it_has_ended(
    acme: Any, own_redis: Any
) -> None:
    late = event(acme, 5 * USD)
    end(admit(event=event(acme, 1 * USD)), 0)
    live_holds.note_unwanted(late)
    live_holds.end_unwanted()

    verdict = gate.admit(
        gate.HoldKeys.of(late),
        request_id=late.request_id,
        tenant_code=acme.code,
        amount_nusd=late.estimated_nusd,
        event=late.dumps(),
        tokens=0,
        rules=Rules(),
    )
    assert verdict[0] == "held"
    assert books(acme.tenant).held == 0


def test_a_call_that_is_asked_for_again_keeps_its_hold(
    acme: Any, own_redis: Any, settings: Any
) -> None:
    """Smaller, under the same id: only who gives up lets go."""
    end(admit(event=event(acme, 1 * USD)), 0)
    settings.FALLBACK_ALLOWANCE_NUSD = 0
    asked = event(acme, 5 * USD)
    with paused(own_redis), pytest.raises(ServiceUnavailableError):
        admit(event=asked)
    wait_until_redis_admits()

    hold = admit(event=asked)
    live_holds.end_unwanted()
    assert books(acme.tenant).held == 5 * USD
    end(hold, 2 * USD)
    services.give_up(event(acme, 1))
    settle(acme)
    assert_all_agrees(acme, spent_nusd=2 * USD)
