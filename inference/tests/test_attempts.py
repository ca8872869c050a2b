"""Whom a call goes to, and what is told when nobody is well."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from inference import attempts
from inference.attempts import Attempts, Target
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.breakers import FAILURES, breakers
from inference.upstreams.failures import UpstreamCallError
from inference.workers_ai.failures import failure_for

ONE, TWO = (Account(name, WORKERS_AI, "https://x") for name in ("one", "two"))
BOOM, BUSY, STRANGER = (3043, 500), (3040, 429), (10000, 401)


@pytest.fixture(autouse=True)
def well(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(attempts, "_pause", lambda attempt: None)
    breakers.open_all()
    yield
    breakers.open_all()


class Upstream:
    """Answers by account: a failure's code and status, or nothing for a success."""

    def __init__(self, **failures: tuple[int, int]) -> None:
        self.failures = failures
        self.calls: list[Target] = []

    def __call__(self, target: Target) -> str:
        self.calls.append(target)
        if failure := self.failures.get(target.account.name):
            code, status = failure
            raise failure_for(code, "x", status)
        return target.account.name


def run(call: Callable[[Target], Any], *, tenant: str = "acme") -> Any:
    offer = SimpleNamespace(name="llama", upstream_model="@cf/llama", kind="chat", upstream="")
    prepared: Any = SimpleNamespace(offer=offer, most={}, facts={})
    catalogue: Any = SimpleNamespace(accounts_for=lambda offer: [ONE, TWO])
    meter: Any = SimpleNamespace(attempt=lambda *args, **facts: None)
    made = Attempts([prepared], catalogue=catalogue, meter=meter, tenant_code=tenant)
    return made.run(call)


def refusal(call: Callable[[Target], Any]) -> UpstreamCallError:
    with pytest.raises(UpstreamCallError) as caught:
        run(call)
    return caught.value


def test_a_busy_one_makes_us_wait_only_where_nobody_else_will_be_asked() -> None:
    upstream = Upstream(one=BUSY, two=BUSY)
    refusal(upstream)

    assert [target.reject_if_busy for target in upstream.calls] == [True, True, False]


def test_where_all_are_closed_the_client_is_told_when_to_come_again() -> None:
    upstream = Upstream(one=BOOM, two=BOOM)
    while len(upstream.calls) < 2 * FAILURES:
        refusal(upstream)
    failure = refusal(upstream)

    assert failure.error.status == 502
    assert 1 <= int(failure.error.headers["retry-after"]) <= 10


def test_a_closed_target_that_is_well_again_serves_and_is_open_to_all() -> None:
    refusal(Upstream(one=STRANGER, two=STRANGER))
    assert run(Upstream(one=STRANGER)) == "two"

    upstream = Upstream(one=STRANGER)
    assert run(upstream) == "two"
    assert len(upstream.calls) == 1


def test_while_one_call_finds_out_all_others_are_told_to_come_again() -> None:
    refusal(Upstream(one=STRANGER, two=STRANGER))
    seen: list[UpstreamCallError] = []

    def call(target: Target) -> str:
        if not seen:
            seen.append(refusal(Upstream()))
        return "well"

    assert run(call) == "well"
    (other,) = seen
    assert other.error.status == 503
    assert 50 < int(other.error.headers["retry-after"]) <= 60


def test_who_breaks_a_model_closes_it_to_nobody_else() -> None:
    broken = Upstream(one=BOOM, two=BOOM)
    while len(broken.calls) < 4 * FAILURES:
        refusal(broken)
    assert "retry-after" in refusal(broken).error.headers

    upstream = Upstream(two=BOOM)
    assert run(upstream, tenant="globex") == "one"
    assert [target.account.name for target in upstream.calls] == ["one"]
