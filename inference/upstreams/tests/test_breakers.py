from typing import Any

import pytest

from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.breakers import FAILURES, Breakers
from inference.upstreams.failures import Scope, UpstreamCallError
from inference.workers_ai.failures import failure_for

ONE = Account("one", WORKERS_AI, "http://one")
TWO = Account("two", WORKERS_AI, "http://two")
LLAMA: dict[str, Any] = {"model": "@cf/llama", "kind": "chat"}
QWEN: dict[str, Any] = {"model": "@cf/qwen", "kind": "chat"}
FLUX: dict[str, Any] = {"model": "@cf/flux", "kind": "text-to-image"}
BREAKDOWN = failure_for(3043, "x", 500)


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


def fail(breakers: Breakers, failure: UpstreamCallError, times: int = 1) -> None:
    for _ in range(times):
        breakers.failed(ONE, failure, **LLAMA)


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
