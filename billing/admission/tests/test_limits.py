"""Limits of a minute and of calls at once, against a real Valkey."""

from typing import Any

import pytest

from agentflare.errors import CreditHeldError, InsufficientCreditError, RateLimitError
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.gate import Gate
from billing.admission.rules import Count, Rules, as_span, rate_limit_headers
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import USD, event, turn_back, window_of
from tenants.limits import Limits

THREE_REQUESTS = Rules(tenant=Limits(requests_per_minute=3))
TOKENS = Rules(tenant=Limits(tokens_per_minute=100))


def refused(cast: Any, rules: Rules, *, tokens: int = 0, amount_nusd: int = 1) -> RateLimitError:
    with pytest.raises(RateLimitError) as refusal:
        admit(event=event(cast, amount_nusd), tokens=tokens, rules=rules)
    return refusal.value


# --- Requests ----------------------------------------------------------------------


def test_no_more_requests_than_the_limit(acme: Any) -> None:
    for _ in range(3):
        admit(event=event(acme, 1), rules=THREE_REQUESTS)

    error = refused(acme, THREE_REQUESTS)

    assert (error.status, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
    assert "this workspace on requests per minute: limit 3, used 3, requested 1" in error.message
    assert 59_000 < int(error.headers["retry-after-ms"]) <= 61_000
    assert int(error.headers["retry-after"]) in (60, 61)


def test_a_refused_call_uses_up_nothing(acme: Any) -> None:
    hold = admit(event=event(acme, 5), tokens=60, rules=TOKENS)

    refused(acme, TOKENS, tokens=60)
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 26 * USD), tokens=1, rules=TOKENS)

    assert window_of(hold.keys) == (1, 60, 1)
    assert books(acme.tenant) == Gate(posted=25 * USD, held=5, unsettled=0)


def test_a_limit_refuses_before_money_and_names_itself(acme: Any) -> None:
    admit(event=event(acme, 1), rules=Rules(key=Limits(requests_per_minute=1)))

    error = refused(acme, Rules(key=Limits(requests_per_minute=1)), amount_nusd=26 * USD)

    assert "this API key on requests per minute" in error.message


def test_what_left_the_window_may_be_called_again_and_not_before(acme: Any) -> None:
    hold = admit(event=event(acme, 1), rules=THREE_REQUESTS)
    turn_back(hold.keys, 30)
    admit(event=event(acme, 1), rules=THREE_REQUESTS)
    admit(event=event(acme, 1), rules=THREE_REQUESTS)

    error = refused(acme, THREE_REQUESTS)
    assert 29_000 < int(error.headers["retry-after-ms"]) <= 31_000
    turn_back(hold.keys, 29)  # the first is 59 to 60 seconds old
    refused(acme, THREE_REQUESTS)
    turn_back(hold.keys, 2)

    admit(event=event(acme, 1), rules=THREE_REQUESTS)
    refused(acme, THREE_REQUESTS)


def test_a_retry_of_an_admission_counts_once(acme: Any) -> None:
    call = event(acme, 1)
    hold = admit(event=call, tokens=7, rules=THREE_REQUESTS)
    admit(event=call, tokens=7, rules=THREE_REQUESTS)

    assert window_of(hold.keys) == (1, 7, 1)


def test_a_limit_of_nothing_lets_nothing_through(acme: Any) -> None:
    error = refused(acme, Rules(tenant=Limits(requests_per_minute=0)))

    assert error.headers == {"x-should-retry": "false"}


def test_windows_are_of_their_tenant_alone(acme: Any, globex: Any) -> None:
    rules = Rules(tenant=Limits(requests_per_minute=1), key=Limits(requests_per_minute=1))
    admit(event=event(acme, 1), rules=rules)

    admit(event=event(globex, 1), rules=rules)

    refused(acme, rules)


def test_keys_and_models_are_counted_each_by_itself(acme: Any) -> None:
    rules = Rules(
        tenant=Limits(requests_per_minute=10),
        key=Limits(requests_per_minute=2),
        key_at_model=Limits(requests_per_minute=1),
    )
    admit(event=event(acme, 1), rules=rules)

    error = refused(acme, rules)
    assert "this API key at this model" in error.message
    admit(event=event(acme, 1, ai_model="gpt-oss-20b"), rules=rules)
    with pytest.raises(RateLimitError, match="this API key on requests"):
        admit(event=event(acme, 1, ai_model="qwen-3-30b"), rules=rules)
    admit(event=event(acme, 1, key_id="otherkey"), rules=rules)


def test_a_key_that_took_anothers_place_shares_its_window(acme: Any) -> None:
    rules = Rules(key=Limits(requests_per_minute=1))
    admit(event=event(acme, 1, key_id="oldkey00"), rules=rules)

    with pytest.raises(RateLimitError):
        admit(event=event(acme, 1, key_id="newkey00", line_id="oldkey00"), rules=rules)


# --- Tokens ------------------------------------------------------------------------


def test_tokens_count_as_estimated_and_then_as_used(acme: Any) -> None:
    hold = admit(event=event(acme, 1), tokens=90, rules=TOKENS)
    error = refused(acme, TOKENS, tokens=11)
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    assert "limit 100, used 90, requested 11" in error.message

    used = hold.event.with_(input_tokens=10, cached_input_tokens=5, output_tokens=5)
    capture(hold, used)

    assert window_of(hold.keys) == (1, 20, 0)
    admit(event=event(acme, 1), tokens=80, rules=TOKENS)
    refused(acme, TOKENS, tokens=1)


def test_more_used_than_estimated_counts_too(acme: Any) -> None:
    hold = admit(event=event(acme, 1), tokens=10, rules=TOKENS)
    capture(hold, hold.event.with_(output_tokens=150))

    assert window_of(hold.keys) == (1, 150, 0)
    refused(acme, TOKENS, tokens=1)


def test_a_correction_that_comes_after_the_minute_changes_nothing(acme: Any) -> None:
    hold = admit(event=event(acme, 1), tokens=90, rules=TOKENS)
    turn_back(hold.keys, 70)
    admit(event=event(acme, 1), tokens=50, rules=TOKENS)

    capture(hold, hold.event.with_(output_tokens=1))

    assert window_of(hold.keys) == (1, 50, 1)


def test_a_call_larger_than_the_limit_is_told_that_waiting_is_of_no_use(acme: Any) -> None:
    error = refused(acme, TOKENS, tokens=101)

    assert error.headers == {"x-should-retry": "false"}
    assert "can never be let through" in error.message


# --- At once -----------------------------------------------------------------------


def test_calls_at_once_are_limited_and_free_again_when_they_end(acme: Any) -> None:
    rules = Rules(tenant=Limits(concurrent_calls=2))
    first = admit(event=event(acme, 1), rules=rules)
    admit(event=event(acme, 1), rules=rules)

    error = refused(acme, rules)
    assert "concurrent calls: limit 2, running 2" in error.message
    assert error.headers["retry-after"] == "1"
    capture(first, first.event)
    capture(first, first.event)

    admit(event=event(acme, 1), rules=rules)
    refused(acme, rules)


def test_the_place_of_a_dead_process_is_free_again(acme: Any) -> None:
    rules = Rules(tenant=Limits(concurrent_calls=1, tokens_per_minute=100))
    hold = admit(event=event(acme, 1), tokens=40, rules=rules)
    partition = gate.partition_of(acme.code)
    get_redis().zadd(gate.holds_key(partition), {hold.request_id: 1})

    assert gate.expire(partition=partition, request_id=hold.request_id)

    # What it used is not known for sure: its tokens stay counted.
    assert window_of(hold.keys) == (1, 40, 0)
    admit(event=event(acme, 1), tokens=40, rules=rules)


def test_a_hold_that_redis_lost_gives_back_no_place_it_never_had(acme: Any) -> None:
    rules = Rules(tenant=Limits(concurrent_calls=5))
    hold = admit(event=event(acme, 1), rules=rules)
    get_redis().delete(hold.keys.hold, *hold.keys.windows)
    gate.renew(
        hold.keys,
        request_id=hold.request_id,
        tenant_code=acme.code,
        amount_nusd=1,
        cost_nusd=0,
        event=hold.event.dumps(),
    )
    capture(hold, hold.event)

    assert window_of(hold.keys) == (0, 0, 0)


def test_credit_held_can_be_retried_and_says_when(acme: Any) -> None:
    admit(event=event(acme, 20 * USD))

    with pytest.raises(CreditHeldError) as refusal:
        admit(event=event(acme, 10 * USD))

    assert refusal.value.headers["retry-after"] == "1"
    assert refusal.value.available_nusd == 5 * USD


# --- What is told ------------------------------------------------------------------


def test_headers_tell_of_the_window_that_is_nearest_to_its_limit(acme: Any) -> None:
    rules = Rules(
        tenant=Limits(requests_per_minute=100, tokens_per_minute=1_000),
        key=Limits(requests_per_minute=5),
    )
    hold = admit(event=event(acme, 1), tokens=400, rules=rules)

    assert rate_limit_headers(hold.counts) == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "1m1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "600",
        "x-ratelimit-reset-tokens": "1m1s",
    }


def test_without_limits_nothing_is_told_and_nothing_counted(acme: Any) -> None:
    hold = admit(event=event(acme, 1), tokens=5)

    assert rate_limit_headers(hold.counts) == {}
    assert window_of(hold.keys) == (0, 0, 0)


def test_an_untouched_limit_is_whole_at_once() -> None:
    headers = rate_limit_headers([Count(Limits(requests_per_minute=5), 0, 0)])

    assert headers["x-ratelimit-reset-requests"] == "0s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.12, "120ms"), (1, "1s"), (61, "1m1s"), (360, "6m0s")]
)
def test_spans_read_as_openai_writes_them(seconds: float, text: str) -> None:
    assert as_span(seconds) == text
