"""Admission and capture, against a real Valkey."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import exceptions

from agentflare.errors import CreditHeldError, InsufficientCreditError, TenantSuspendedError
from agentflare.redis_store import get_redis
from billing.admission import gate, live_holds, recovery
from billing.admission.gate import Gate
from billing.admission.live_holds import Hold
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import USD, event, outbox_of
from billing.ledger.services import credit_account, grant_credit
from billing.settlement.services import settle_partition
from billing.usage.events import UsageEvent
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import resume_tenant, suspend_tenant


def test_a_hold_takes_its_amount_out_of_what_is_available(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))

    assert books(acme.tenant) == Gate(posted=25 * USD, held=5 * USD, unsettled=0)
    assert hold.available_nusd == 20 * USD


def test_a_second_admission_of_the_same_request_holds_once(acme: Any) -> None:
    call = event(acme, 5 * USD)
    admit(event=call)
    admit(event=call)

    assert books(acme.tenant).held == 5 * USD


def test_a_call_beyond_the_credit_is_refused_and_holds_nothing(acme: Any) -> None:
    with pytest.raises(InsufficientCreditError) as refusal:
        admit(event=event(acme, 25 * USD + 1))

    assert refusal.value.headers == {"x-should-retry": "false"}
    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=0)


def test_a_call_of_exactly_the_credit_is_admitted(acme: Any) -> None:
    admit(event=event(acme, 25 * USD))

    assert books(acme.tenant).available == 0


def test_credit_held_by_running_calls_is_another_refusal(acme: Any) -> None:
    admit(event=event(acme, 20 * USD))

    with pytest.raises(CreditHeldError) as refusal:
        admit(event=event(acme, 10 * USD))

    assert refusal.value.headers == {"retry-after": "1", "retry-after-ms": "1000"}
    assert books(acme.tenant).held == 20 * USD


def test_of_many_calls_at_once_exactly_those_that_fit_are_admitted(acme: Any) -> None:
    def attempt(_: int) -> bool:
        try:
            admit(event=event(acme, int(2.5 * USD)))
        except (InsufficientCreditError, CreditHeldError):
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        admitted = sum(pool.map(attempt, range(60)))

    assert admitted == 10
    assert books(acme.tenant) == Gate(posted=25 * USD, held=25 * USD, unsettled=0)


def test_a_capture_ends_the_hold_and_takes_the_cost(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))

    captured = capture(hold, hold.event.with_(cost_nusd=3 * USD))

    assert captured.cost_nusd == 3 * USD
    assert captured.available_nusd == 22 * USD
    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=3 * USD)
    assert [x.cost_nusd for x in outbox_of(acme)] == [3 * USD]


def test_a_second_capture_tells_the_first_cost_and_takes_nothing(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    capture(hold, hold.event.with_(cost_nusd=3 * USD))

    captured = capture(hold, hold.event.with_(cost_nusd=4 * USD))

    assert captured.cost_nusd == 3 * USD
    assert books(acme.tenant).unsettled == 3 * USD
    assert len(outbox_of(acme)) == 1


def test_a_capture_above_the_hold_takes_the_rest_from_what_is_available(acme: Any) -> None:
    hold = admit(event=event(acme, 25 * USD))

    captured = capture(hold, hold.event.with_(cost_nusd=26 * USD))

    assert captured.available_nusd == -1 * USD
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 1))


def test_a_capture_is_taken_although_redis_has_lost_everything(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    forget(acme, hold)

    capture(hold, hold.event.with_(cost_nusd=3 * USD))

    assert [x.cost_nusd for x in outbox_of(acme)] == [3 * USD]
    admit(event=event(acme, 1))
    assert books(acme.tenant) == Gate(posted=25 * USD, held=1, unsettled=3 * USD)


def test_a_renewal_makes_a_lost_hold_again(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    forget(acme, hold)
    books(acme.tenant)

    live_holds.renew_all()

    assert books(acme.tenant).held == 5 * USD
    assert not hold.lost


def test_the_hold_of_a_dead_process_is_captured_for_its_progress(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    hold.progress = lambda: hold.event.with_(cost_nusd=2 * USD, output_tokens=7)
    live_holds.renew_all()
    die(hold)

    assert gate.expire(partition=gate.partition_of(acme.code), request_id=hold.request_id)

    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=2 * USD)
    (left,) = outbox_of(acme)
    assert (left.status, left.output_tokens, left.cost_nusd) == ("process_died", 7, 2 * USD)


def test_the_hold_of_a_process_that_delivered_nothing_costs_nothing(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    die(hold)

    gate.expire(partition=gate.partition_of(acme.code), request_id=hold.request_id)

    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=0)
    assert outbox_of(acme)[0].cost_nusd == 0


def test_a_hold_that_lives_does_not_expire(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))

    assert not gate.expire(partition=gate.partition_of(acme.code), request_id=hold.request_id)
    assert books(acme.tenant).held == 5 * USD


def test_a_call_whose_hold_was_taken_for_dead_learns_it(acme: Any) -> None:
    hold = admit(event=event(acme, 5 * USD))
    die(hold)
    gate.expire(partition=gate.partition_of(acme.code), request_id=hold.request_id)
    live_holds.add(hold)

    live_holds.renew_all()

    assert hold.lost
    assert books(acme.tenant).held == 0


def test_a_call_asks_for_its_hold_where_its_process_stood_still(acme: Any) -> None:
    """Before it passes anything on, and not only at the next renewal."""
    dead, living = (admit(event=event(acme, 5 * USD)) for _ in range(2))
    die(dead)
    gate.expire(partition=gate.partition_of(acme.code), request_id=dead.request_id)
    live_holds.add(dead)
    assert not live_holds.is_lost(dead)  # it was renewed a moment ago

    for hold in (dead, living):
        hold.renewed_at -= 60

    assert live_holds.is_lost(dead)
    assert not live_holds.is_lost(living)
    assert books(acme.tenant).held == 5 * USD


def test_a_capture_that_redis_does_not_take_is_booked_at_once_and_counts_once(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = admit(event=event(acme, 5 * USD))

    def answer_too_late(*args: Any, **kwargs: Any) -> None:
        take(*args, **kwargs)
        raise exceptions.TimeoutError("Redis is slow")

    take = gate.capture
    with monkeypatch.context() as slow:
        slow.setattr(gate, "capture", answer_too_late)
        captured = capture(hold, hold.event.with_(cost_nusd=3 * USD))

    assert captured.cost_nusd == 3 * USD
    assert captured.available_nusd is None
    with tenant_schema(acme.code):
        assert credit_account().balance_nusd == 22 * USD
    settle_partition(partition=gate.partition_of(acme.code))
    recovery.recover()
    assert books(acme.tenant) == Gate(posted=22 * USD, held=0, unsettled=0)


def test_captures_are_repeated_after_redis_has_restarted_and_count_once(acme: Any) -> None:
    kept, lost = (admit(event=event(acme, 1 * USD)) for _ in range(2))
    for hold in (kept, lost):
        capture(hold, hold.event.with_(cost_nusd=1 * USD))
    forget_capture(acme, lost)
    assert books(acme.tenant).unsettled == 1 * USD

    live_holds.repeat_captures()

    assert books(acme.tenant).unsettled == 2 * USD
    assert len(outbox_of(acme)) == 2


def test_a_suspended_tenant_is_refused_at_once_and_served_after_it_resumes(acme: Any) -> None:
    admit(event=event(acme, 1))
    suspend_tenant(tenant=acme.tenant, reason="unpaid invoice", actor="test")

    with pytest.raises(TenantSuspendedError, match="unpaid invoice"):
        admit(event=event(acme, 1))

    resume_tenant(tenant=acme.tenant, actor="test")
    admit(event=event(acme, 1))


def test_a_suspension_stands_after_redis_has_lost_it(acme: Any) -> None:
    suspend_tenant(tenant=acme.tenant, reason="unpaid invoice", actor="test")
    get_redis().delete(gate.status_key(acme.code), gate.gate_key(acme.code))

    with pytest.raises(TenantSuspendedError):
        admit(event=event(acme, 1))


def test_credit_that_is_granted_can_be_used_at_once(acme: Any) -> None:
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 30 * USD))

    grant_credit(tenant=acme.tenant, amount_nusd=5 * USD, reference="more", actor="test")

    admit(event=event(acme, 30 * USD))


def test_a_top_up_that_redis_forgot_is_found_before_a_refusal(acme: Any) -> None:
    gate_was = get_redis().hgetall(gate.gate_key(acme.code))
    grant_credit(tenant=acme.tenant, amount_nusd=5 * USD, reference="more", actor="test")
    get_redis().delete(gate.gate_key(acme.code))
    get_redis().hset(gate.gate_key(acme.code), mapping=gate_was)

    admit(event=event(acme, 30 * USD))


def test_one_call_whose_progress_cannot_be_told_costs_no_other_its_hold(acme: Any) -> None:
    broken, sound = (admit(event=event(acme, 1 * USD)) for _ in range(2))

    def fail() -> UsageEvent:
        raise TypeError("Integer exceeds 64-bit range")

    broken.progress = fail
    expires_soon(broken)
    expires_soon(sound)

    live_holds.renew_all()

    for hold in (broken, sound):
        assert not gate.expire(partition=gate.partition_of(acme.code), request_id=hold.request_id)
    assert books(acme.tenant).held == 2 * USD


def test_a_capture_that_redis_refuses_changes_nothing(acme: Any) -> None:
    hold = admit(event=event(acme, 1 * USD))

    with pytest.raises(exceptions.ResponseError):
        capture(hold, hold.event.with_(cost_nusd=2**63))

    assert books(acme.tenant) == Gate(posted=25 * USD, held=1 * USD, unsettled=0)


def test_an_older_balance_never_replaces_a_newer_one(acme: Any) -> None:
    books(acme.tenant)

    gate.sync(tenant_code=acme.code, posted_nusd=7, version=0, run=gate.run_of(acme.code))

    assert books(acme.tenant).posted == 25 * USD


def test_tenants_do_not_share_credit(acme: Any, globex: Any) -> None:
    admit(event=event(acme, 25 * USD))

    admit(event=event(globex, 25 * USD))

    assert books(acme.tenant).held == books(globex.tenant).held == 25 * USD


def forget(cast: Any, hold: Hold) -> None:
    """As if Redis had come back empty."""
    get_redis().delete(hold.keys.gate, hold.keys.hold, hold.keys.done, hold.keys.standing)
    get_redis().zrem(hold.keys.holds, hold.request_id)


def forget_capture(cast: Any, hold: Hold) -> None:
    """As if Redis had lost the last second: hold still there, capture never seen."""
    redis = get_redis()
    redis.delete(hold.keys.done)
    for stream_id, fields in redis.xrange(hold.keys.outbox):
        if UsageEvent.loads(fields["event"]).request_id == hold.request_id:
            redis.xdel(hold.keys.outbox, stream_id)
            redis.hincrby(hold.keys.gate, "unsettled", -int(fields["cost"]))


def expires_soon(hold: Hold) -> None:
    get_redis().zadd(hold.keys.holds, {hold.request_id: 1})


def die(hold: Hold) -> None:
    """As if the process had been killed a while ago."""
    live_holds.remove(hold)
    get_redis().zadd(hold.keys.holds, {hold.request_id: 1})
