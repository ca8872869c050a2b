from typing import Any

import pytest

from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.breakers import FAILURES, FORGET_S, Breakers
from inference.upstreams.failures import Scope, UpstreamCallError
from inference.workers_ai.failures import failure_for

ONE = Account("one", WORKERS_AI, "http://one")
TWO = Account("two", WORKERS_AI, "http://two")
LLAMA: dict[str, Any] = {"model": "@cf/llama", "kind": "chat", "tenant": "acme"}
QWEN: dict[str, Any] = {"model": "@cf/qwen", "kind": "chat", "tenant": "acme"}
FLUX: dict[str, Any] = {"model": "@cf/flux", "kind": "text-to-image", "tenant": "acme"}
FOR_GLOBEX = {**LLAMA, "tenant": "globex"}
BREAKDOWN = failure_for(3043, "x", 500)
NO_CAPACITY = failure_for(3040, "x", 429)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def fail(
    breakers: Breakers, failure: UpstreamCallError, times: int = 1, *, tenant: str = "acme"
) -> None:
    for _ in range(times):
        breakers.failed(ONE, failure, **{**LLAMA, "tenant": tenant})


def test_a_target_is_left_alone_after_so_many_failures_in_a_row(breakers: Breakers) -> None:
    fail(breakers, BREAKDOWN, FAILURES - 1)
    assert not breakers.is_closed(ONE, **LLAMA)
    fail(breakers, BREAKDOWN)
    assert breakers.is_closed(ONE, **LLAMA)
    assert not breakers.is_closed(ONE, **QWEN)
    assert not breakers.is_closed(TWO, **LLAMA)


def test_a_success_between_starts_the_count_again(breakers: Breakers) -> None:
    for _ in range(3):
        fail(breakers, BREAKDOWN, FAILURES - 1)
        breakers.succeeded(ONE, **LLAMA)
    assert not breakers.is_closed(ONE, **LLAMA)


def test_the_pause_ends_and_grows_while_it_goes_on_failing(
    breakers: Breakers, clock: Clock
) -> None:
    pauses = []
    for _ in range(6):
        fail(breakers, BREAKDOWN, FAILURES)
        pauses.append(breakers.closed_for_s(ONE, **LLAMA))
        clock.now += pauses[-1]
        assert not breakers.is_closed(ONE, **LLAMA)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == 60


def test_one_call_at_a_time_tries_a_closed_target(breakers: Breakers) -> None:
    fail(breakers, BREAKDOWN, FAILURES)

    assert breakers.may_probe(ONE, **LLAMA)
    assert not breakers.may_probe(ONE, **LLAMA)
    fail(breakers, BREAKDOWN)
    assert breakers.may_probe(ONE, **LLAMA)
    breakers.gave_up(ONE, **LLAMA)
    assert breakers.may_probe(ONE, **LLAMA)
    breakers.succeeded(ONE, **LLAMA)
    assert not breakers.is_closed(ONE, **LLAMA)


def test_a_spent_allowance_closes_the_whole_account_to_its_end(
    breakers: Breakers, clock: Clock
) -> None:
    fail(breakers, failure_for(4006, "x", 429))

    assert breakers.is_closed(ONE, **QWEN)
    assert breakers.is_closed(ONE, **FLUX)
    assert not breakers.is_closed(TWO, **LLAMA)
    clock.now += 86_400
    assert not breakers.is_closed(ONE, **QWEN)


def test_a_rate_limit_closes_the_account_for_this_kind_of_work(breakers: Breakers) -> None:
    fail(breakers, failure_for(3021, "x", 429))

    assert 0 < breakers.closed_for_s(ONE, **QWEN) <= 60
    assert not breakers.is_closed(ONE, **FLUX)


def test_a_client_s_own_fault_says_nothing_of_the_target(breakers: Breakers) -> None:
    failure = failure_for(5006, "x", 400)
    assert failure.scope is Scope.CALL
    fail(breakers, failure, 50)
    assert not breakers.is_closed(ONE, **LLAMA)


# --- what one tenant can provoke ------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        failure_for(3043, "x", 500),
        failure_for(3007, "x", 408),
        failure_for(0, "x", 503),
        UpstreamCallError.unreadable("x"),
        UpstreamCallError.broken("x"),
        UpstreamCallError.timeout("in the middle", may_be_provoked=True),
    ],
    ids=lambda failure: failure.detail,
)
def test_what_one_tenant_can_provoke_closes_a_target_for_that_tenant_alone(
    breakers: Breakers, failure: UpstreamCallError
) -> None:
    fail(breakers, failure, 20 * FAILURES)

    assert breakers.is_closed(ONE, **LLAMA)
    assert not breakers.is_closed(ONE, **FOR_GLOBEX)
    assert not breakers.is_closed(ONE, **QWEN)


@pytest.mark.parametrize(
    "failure",
    [
        failure_for(3040, "x", 429),
        failure_for(7013, "x", 503),
        failure_for(0, "x", 429),
        UpstreamCallError.unreachable("refused"),
        UpstreamCallError.timeout("before any byte"),
    ],
    ids=lambda failure: failure.detail,
)
def test_where_nothing_answered_one_tenant_is_enough(
    breakers: Breakers, failure: UpstreamCallError
) -> None:
    fail(breakers, failure, FAILURES - 1)
    assert not breakers.is_closed(ONE, **FOR_GLOBEX)
    fail(breakers, failure)
    assert breakers.is_closed(ONE, **FOR_GLOBEX)


@pytest.mark.parametrize("code", [2003, 3021, 3036, 3041, 5018, 10000])
def test_what_upstream_s_rules_close_is_closed_to_all_at_once(
    breakers: Breakers, code: int
) -> None:
    fail(breakers, failure_for(code, "x", 403))
    assert breakers.is_closed(ONE, **FOR_GLOBEX)


def test_two_tenants_together_close_a_target_for_everybody(breakers: Breakers) -> None:
    fail(breakers, BREAKDOWN, FAILURES - 2, tenant="acme")
    fail(breakers, BREAKDOWN, tenant="globex")
    assert not breakers.is_closed(ONE, **{**LLAMA, "tenant": "initech"})
    fail(breakers, BREAKDOWN, tenant="globex")
    assert breakers.is_closed(ONE, **{**LLAMA, "tenant": "initech"})


def test_one_tenant_cannot_keep_others_out_after_a_single_failure_of_theirs(
    breakers: Breakers, clock: Clock
) -> None:
    """However often it fails before and after: the pause is the first one, and ends."""
    fail(breakers, BREAKDOWN, 100, tenant="acme")
    fail(breakers, BREAKDOWN, tenant="globex")
    assert breakers.closed_for_s(ONE, **FOR_GLOBEX) == 5

    clock.now += 4
    fail(breakers, BREAKDOWN, 100, tenant="acme")
    assert breakers.closed_for_s(ONE, **FOR_GLOBEX) == 1
    clock.now += 1
    assert not breakers.is_closed(ONE, **FOR_GLOBEX)
    breakers.succeeded(ONE, **FOR_GLOBEX)
    assert breakers.closed_for_s(ONE, **LLAMA) > 0


def test_a_model_that_is_down_for_many_is_left_alone_for_longer_and_longer(
    breakers: Breakers, clock: Clock
) -> None:
    pauses = []
    for _ in range(5):
        for _ in range(FAILURES):
            fail(breakers, BREAKDOWN, tenant="acme")
            fail(breakers, BREAKDOWN, tenant="globex")
        pauses.append(breakers.closed_for_s(ONE, **{**LLAMA, "tenant": "initech"}))
        clock.now += pauses[-1]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == 60


def test_failures_that_one_tenant_provoked_do_not_add_to_those_of_capacity(
    breakers: Breakers,
) -> None:
    fail(breakers, BREAKDOWN, 100, tenant="acme")
    fail(breakers, NO_CAPACITY, FAILURES - 1, tenant="globex")
    assert not breakers.is_closed(ONE, **FOR_GLOBEX)


def test_the_success_of_another_tenant_opens_what_is_closed_to_all_and_no_more(
    breakers: Breakers,
) -> None:
    fail(breakers, BREAKDOWN, FAILURES, tenant="acme")
    fail(breakers, BREAKDOWN, FAILURES, tenant="initech")
    breakers.succeeded(ONE, **FOR_GLOBEX)

    assert not breakers.is_closed(ONE, **FOR_GLOBEX)
    assert breakers.is_closed(ONE, **LLAMA)
    assert breakers.may_probe(ONE, **LLAMA)
    breakers.succeeded(ONE, **LLAMA)
    assert not breakers.is_closed(ONE, **LLAMA)


def test_while_one_tenant_s_call_looks_others_are_not_kept_out(breakers: Breakers) -> None:
    fail(breakers, BREAKDOWN, FAILURES, tenant="acme")
    assert breakers.may_probe(ONE, **LLAMA)
    assert not breakers.may_probe(ONE, **LLAMA)
    assert breakers.may_probe(ONE, **FOR_GLOBEX)


def test_tenants_that_left_after_a_failure_are_forgotten(breakers: Breakers, clock: Clock) -> None:
    for number in range(50):
        fail(breakers, BREAKDOWN, tenant=f"tenant {number}")
    clock.now += FORGET_S + 1
    fail(breakers, BREAKDOWN)
    breakers.succeeded(ONE, **LLAMA)

    assert breakers._of(ONE, **{**LLAMA, "tenant": "tenant 7"}) == []
    assert breakers._by_target == {}


def test_an_allowance_spent_for_hours_is_not_forgotten(breakers: Breakers, clock: Clock) -> None:
    breakers.failed(ONE, failure_for(3041, "x", 403), **LLAMA)
    breakers._by_target[(ONE.name, "model", "@cf/llama")].closed_until = clock.now + 5 * FORGET_S
    clock.now += 2 * FORGET_S
    fail(breakers, BREAKDOWN, tenant="globex")
    assert breakers.is_closed(ONE, **LLAMA)


def test_where_all_is_well_nothing_is_looked_at(breakers: Breakers) -> None:
    assert breakers._by_target == {}
    fail(breakers, BREAKDOWN)
    breakers.succeeded(ONE, **LLAMA)
    assert breakers._by_target == {}
