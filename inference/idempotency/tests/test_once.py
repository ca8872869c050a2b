"""One Idempotency-Key: executed once, answered alike, against a real Valkey."""

import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from redis import exceptions

from agentflare.api import JsonResponse, error_response
from agentflare.errors import UpstreamBusyError
from agentflare.redis_store import get_redis
from inference.idempotency import store
from inference.idempotency.tests.fakes import (
    Endpoint,
    age,
    done_of,
    error_code,
    hold_of,
    new_tenant,
    record_key,
)


@pytest.fixture
def tenant() -> str:
    return new_tenant()


def test_a_repeat_gets_the_first_answer_and_runs_nothing(tenant: str) -> None:
    endpoint = Endpoint()

    first = endpoint.post(tenant)
    again = endpoint.post(tenant)

    assert len(endpoint.runs) == 1
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Content-Type"] == "application/json"
    assert again["Content-Length"] == str(len(first.content))
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"


def test_a_repeat_tells_what_the_first_did_cost_and_its_id(tenant: str) -> None:
    endpoint = Endpoint()
    endpoint.post(tenant)

    again = endpoint.post(tenant)

    assert again["X-Request-Cost"] == "0.000000123"
    assert again["X-Estimated-Cost"] == "0.000001000"
    assert again["x-agentflare-model"] == "m"
    first_id = endpoint.runs[0]._request.id.hex
    assert again["x-agentflare-original-request-id"] == f"req_{first_id}"
    # It was true then.
    assert "X-Balance-Remaining" not in again


def test_without_a_key_every_call_runs(tenant: str) -> None:
    endpoint = Endpoint()

    assert endpoint.post(tenant, None).content != endpoint.post(tenant, None).content
    assert [run.is_idempotent for run in endpoint.runs] == [False, False]


def test_the_handler_knows_that_its_answer_is_kept(tenant: str) -> None:
    endpoint = Endpoint()
    endpoint.post(tenant)

    assert endpoint.runs[0].is_idempotent is True


def test_a_get_takes_no_notice_of_the_key(tenant: str) -> None:
    response = Endpoint().post(tenant, method="GET")

    assert orjson.loads(response.content) == {"idempotent": False}


def test_other_keys_and_other_tenants_are_other_calls(tenant: str) -> None:
    endpoint = Endpoint()
    endpoint.post(tenant, "a")
    endpoint.post(tenant, "b")

    endpoint.post(new_tenant(), "a")

    assert len(endpoint.runs) == 3


@pytest.mark.parametrize(
    "change",
    [{"body": {"n": 2}}, {"path": "/v1/embeddings"}, {"content_type": "text/plain"}],
    ids=str,
)
def test_another_request_with_the_key_is_refused(tenant: str, change: dict[str, Any]) -> None:
    endpoint = Endpoint()
    endpoint.post(tenant)

    refused = endpoint.post(tenant, **change)

    assert (refused.status_code, error_code(refused)) == (422, "idempotency_key_reused")
    assert len(endpoint.runs) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
def test_a_bad_key_is_refused(tenant: str, key: str) -> None:
    endpoint = Endpoint()

    refused = endpoint.post(tenant, key)

    assert refused.status_code == 400
    assert "Idempotency-Key" in orjson.loads(refused.content)["error"]["message"]
    assert endpoint.runs == []


def test_a_key_of_255_characters_is_good(tenant: str) -> None:
    assert Endpoint().post(tenant, "é" * 255).status_code == 200


def test_a_record_lives_for_a_day(tenant: str) -> None:
    Endpoint().post(tenant)

    assert 24 * 3600 - 5 < get_redis().ttl(record_key(tenant)) <= 24 * 3600


def test_twenty_at_once_run_once(tenant: str) -> None:
    all_asked = threading.Event()
    endpoint = Endpoint()

    def slow_answer(request: Any) -> JsonResponse:
        assert all_asked.wait(20)
        return endpoint.count_answer()

    endpoint.answer = slow_answer
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(endpoint.post, tenant) for _ in range(20)]
        refused = []
        while len(refused) < 19:
            refused = [call.result() for call in calls if call.done()]
        all_asked.set()
        answers = [call.result() for call in calls]

    assert {(r.status_code, r["retry-after"], error_code(r)) for r in refused} == {
        (409, "1", "idempotency_key_in_use")
    }
    (answer,) = [each for each in answers if each.status_code == 200]
    again = endpoint.post(tenant)
    assert (again.content, again["Idempotent-Replayed"]) == (answer.content, "true")
    assert len(endpoint.runs) == 1


# --- it fails -----------------------------------------------------------------------


def fail(request: Any) -> Any:
    raise UpstreamBusyError("Busy.")


def answer_a_failure(request: Any) -> Any:
    return error_response(UpstreamBusyError("Busy."))


@pytest.mark.parametrize("failure", [fail, answer_a_failure])
def test_an_error_frees_the_key_even_for_another_body(tenant: str, failure: Any) -> None:
    endpoint = Endpoint(failure)
    assert endpoint.post(tenant).status_code == 503

    endpoint.answer = lambda request: endpoint.count_answer()
    good = endpoint.post(tenant, body={"n": 2})

    assert good.status_code == 200
    assert "Idempotent-Replayed" not in good
    assert len(endpoint.runs) == 2


def test_a_fault_of_ours_frees_the_key(tenant: str) -> None:
    def break_down(request: Any) -> Any:
        raise ZeroDivisionError

    endpoint = Endpoint(break_down)
    with pytest.raises(ZeroDivisionError):
        endpoint.post(tenant)

    endpoint.answer = lambda request: endpoint.count_answer()
    assert endpoint.post(tenant).status_code == 200


def test_while_redis_is_down_nothing_runs(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint()

    def down(*args: Any, **kwargs: Any) -> Any:
        raise exceptions.ConnectionError

    monkeypatch.setattr(store, "_run", down)
    assert endpoint.post(tenant).status_code == 503
    assert endpoint.runs == []


def test_an_answer_that_redis_cannot_take_is_given_all_the_same(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint()
    run = store._run

    def keep_fails(name: str, **options: Any) -> Any:
        if name == "keep":
            raise exceptions.OutOfMemoryError
        return run(name, **options)

    monkeypatch.setattr(store, "_run", keep_fails)
    assert endpoint.post(tenant).status_code == 200
    assert error_code(endpoint.post(tenant)) == "idempotency_key_in_use"
    assert len(endpoint.runs) == 1


# --- its process dies ---------------------------------------------------------------


class Died(BaseException):
    """As kill -9: nothing of ours runs any more."""


@pytest.fixture
def dead_call(tenant: str, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """An endpoint whose first call has died, holding its credit."""

    def die(request: Any) -> Any:
        get_redis().hset(hold_of(tenant, request), "tenant", tenant)
        raise Died

    endpoint = Endpoint(die)
    with monkeypatch.context() as patch:
        patch.setattr(store.Claim, "release", lambda claim: None)
        with pytest.raises(Died):
            endpoint.post(tenant)
    endpoint.answer = lambda request: endpoint.count_answer()
    return endpoint


def lose_hold(tenant: str, dead_call: Endpoint) -> None:
    get_redis().delete(hold_of(tenant, dead_call.runs[0]))


def capture(tenant: str, dead_call: Endpoint, cost_nusd: int, *, seconds_ago: int) -> None:
    lose_hold(tenant, dead_call)
    done = done_of(tenant, dead_call.runs[0])
    get_redis().set(done, cost_nusd, ex=900 - seconds_ago)


def test_a_call_counts_as_running_while_its_credit_is_held(
    tenant: str, dead_call: Endpoint
) -> None:
    age(tenant, 3600)

    assert error_code(dead_call.post(tenant)) == "idempotency_key_in_use"
    assert len(dead_call.runs) == 1


def test_a_call_counts_as_running_for_a_minute_before_it_holds_credit(
    tenant: str, dead_call: Endpoint
) -> None:
    lose_hold(tenant, dead_call)
    age(tenant, 50)
    assert error_code(dead_call.post(tenant)) == "idempotency_key_in_use"

    age(tenant, 11)
    # Another request than the one that died may have it too.
    assert dead_call.post(tenant, body={"n": 2}).status_code == 200


def test_a_call_that_died_and_cost_nothing_is_done_again(tenant: str, dead_call: Endpoint) -> None:
    capture(tenant, dead_call, 0, seconds_ago=2)
    assert error_code(dead_call.post(tenant)) == "idempotency_key_in_use"

    capture(tenant, dead_call, 0, seconds_ago=7)
    assert dead_call.post(tenant).status_code == 200
    assert dead_call.post(tenant)["Idempotent-Replayed"] == "true"


def test_a_call_that_died_between_charge_and_answer_is_not_charged_again(
    tenant: str, dead_call: Endpoint
) -> None:
    capture(tenant, dead_call, 500, seconds_ago=7)

    for _ in range(2):
        refused = dead_call.post(tenant)
        assert (refused.status_code, error_code(refused)) == (409, "idempotency_answer_not_kept")
        assert refused["x-should-retry"] == "false"
        # Also when Redis has forgotten the capture.
        get_redis().delete(done_of(tenant, dead_call.runs[0]))
        age(tenant, 3600)
    assert len(dead_call.runs) == 1
    assert error_code(dead_call.post(tenant, body={"n": 2})) == "idempotency_key_reused"


def test_a_call_that_was_taken_for_dead_does_not_replace_the_answer_of_the_next(
    tenant: str,
) -> None:
    endpoint = Endpoint()

    def overtaken(request: Any) -> Any:
        endpoint.answer = lambda request: JsonResponse({"who": "second"})
        age(tenant, 61)
        endpoint.post(tenant)
        return JsonResponse({"who": "first"})

    endpoint.answer = overtaken
    endpoint.post(tenant)

    assert orjson.loads(endpoint.post(tenant).content) == {"who": "second"}


def test_a_call_that_was_taken_for_dead_does_not_free_the_key_of_the_next(tenant: str) -> None:
    endpoint = Endpoint()

    def overtaken(request: Any) -> Any:
        endpoint.answer = lambda request: JsonResponse({"who": "second"})
        age(tenant, 61)
        endpoint.post(tenant)
        raise UpstreamBusyError("Busy.")

    endpoint.answer = overtaken
    assert endpoint.post(tenant).status_code == 503

    assert orjson.loads(endpoint.post(tenant).content) == {"who": "second"}


def test_an_answer_is_kept_though_redis_has_lost_the_record(tenant: str) -> None:
    endpoint = Endpoint()

    def lost(request: Any) -> Any:
        get_redis().delete(record_key(tenant))
        return endpoint.count_answer()

    endpoint.answer = lost
    endpoint.post(tenant)

    assert endpoint.post(tenant)["Idempotent-Replayed"] == "true"


def test_a_claim_that_is_sent_twice_is_one_claim(tenant: str) -> None:
    claim = {"tenant_code": tenant, "idempotency_key": "k", "fingerprint": "f"}

    assert store.claim(**claim, request_id="a1") == store.claim(**claim, request_id="a1")


# --- how much is kept ---------------------------------------------------------------


def test_an_answer_over_the_limit_is_not_kept_and_not_made_again(
    tenant: str, settings: Any
) -> None:
    settings.IDEMPOTENCY_MAX_BODY_BYTES = 200
    endpoint = Endpoint(lambda request: JsonResponse({"n": list(range(1000))}))
    assert endpoint.post(tenant).status_code == 200

    refused = endpoint.post(tenant)

    assert (refused.status_code, error_code(refused)) == (409, "idempotency_answer_not_kept")
    assert refused["x-should-retry"] == "false"
    assert error_code(endpoint.post(tenant, body={"n": 2})) == "idempotency_key_reused"
    assert len(endpoint.runs) == 1


def test_a_large_answer_comes_back_whole(tenant: str) -> None:
    endpoint = Endpoint(lambda request: JsonResponse({"n": list(range(50_000))}))

    assert endpoint.post(tenant).content == endpoint.post(tenant).content


def test_the_oldest_answers_of_a_tenant_make_room_for_newer_ones(
    tenant: str, settings: Any
) -> None:
    endpoint = Endpoint(lambda request: JsonResponse({"n": list(range(300))}))
    endpoint.post(tenant, "0")
    one = get_redis().hstrlen(record_key(tenant), "body")
    settings.IDEMPOTENCY_TENANT_BYTES = 3 * one
    for number in range(1, 5):
        endpoint.post(tenant, str(number))

    seen = [endpoint.post(tenant, str(number)).status_code for number in range(5)]

    assert seen == [409, 409, 200, 200, 200]
    assert len(endpoint.runs) == 5
    assert int(get_redis().get(store.tenant_key(tenant, f"idem_bytes:{tenant}"))) == 3 * one


def test_answers_that_have_expired_are_no_longer_counted(tenant: str, settings: Any) -> None:
    settings.IDEMPOTENCY_KEEP_S = 1
    endpoint = Endpoint()
    endpoint.post(tenant, "a")
    time.sleep(0.6)
    endpoint.post(tenant, "b")
    time.sleep(0.6)
    endpoint.post(tenant, "c")

    one = len(zlib.compress(b'{"run":1}'))
    assert int(get_redis().get(store.tenant_key(tenant, f"idem_bytes:{tenant}"))) == 2 * one
    assert "Idempotent-Replayed" not in endpoint.post(tenant, "a")


def test_a_kept_answer_is_counted_once_when_it_is_sent_twice(tenant: str) -> None:
    taken = store.claim(tenant_code=tenant, idempotency_key="k", fingerprint="f", request_id="a1")
    assert isinstance(taken, store.Claim)
    head = store.Head("a1", 200, {}, False)
    taken.keep(head, b"x" * 100)
    taken.keep(head, b"x" * 100)

    assert get_redis().get(store.tenant_key(tenant, f"idem_bytes:{tenant}")) == "100"
