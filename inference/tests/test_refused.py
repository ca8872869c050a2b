"""Calls that never began are counted, and told to whoever looks for them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.utils import timezone
from redis import exceptions

from agentflare.errors import UpstreamError
from agentflare.ids import uuid7
from agentflare.partitions import partition_of
from billing.usage import refusals
from billing.usage.models import UsageEnds
from billing.usage.refusals import find_refusal, latest_refusals, save_refusals
from billing.usage.selectors import end_buckets
from conftest import Cast, make_cast
from inference import progress
from inference.refused import note_unless_admitted
from tenants.keys.lookup import forget_all, resolve_key
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key, list_api_keys, revoke_api_key
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import suspend_tenant

CHAT = {"model": "mistral-small-3.1", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def poor(_database: None) -> Cast:
    return make_cast("poor", credit_nusd=0)


def ask(cast: Any, body: Any = CHAT, *, key: str = "") -> Any:
    client = Client(HTTP_AUTHORIZATION=f"Bearer {key or cast.key}")
    return client.post("/v1/chat/completions", body, content_type="application/json")


def ends(cast: Any) -> list[tuple[str, str, bool, int]]:
    with tenant_schema(cast.code):
        rows = UsageEnds.objects.filter(is_day=False).order_by("end")
        return [(row.key_id, row.end, row.is_refused, row.calls) for row in rows]


def save(cast: Any) -> None:
    """Those of other tenants of its partition as well."""
    save_refusals(partition_of(cast.code))


def counted(cast: Any) -> int:
    return sum(calls for *_, calls in ends(cast))


def test_a_call_without_credit_is_counted_and_told_as_its_client_was(poor: Cast) -> None:
    answers = [ask(poor) for _ in range(2)]

    (key,) = list_api_keys(tenant=poor.tenant)
    latest = latest_refusals(poor.code)
    assert [each.request_id for each in latest] == [
        answer["x-request-id"].removeprefix("req_") for answer in reversed(answers)
    ]
    assert (latest[0].status, latest[0].code) == (429, "insufficient_quota")
    assert latest[0].message == answers[1].json()["error"]["message"]
    assert (latest[0].endpoint, latest[0].ai_model) == ("chat/completions", CHAT["model"])
    assert latest[0].key_id == key.key_id
    assert find_refusal(poor.code, latest[1].request_id) == latest[1]

    save(poor)
    save(poor)
    assert ends(poor) == [(key.key_id, "insufficient_quota", True, 2)]


@pytest.mark.parametrize("reason", ["revoked", "expired", "suspended"])
def test_calls_with_a_key_that_has_ended_are_told_to_its_tenant(
    poor: Cast, reason: str, settings: Any
) -> None:
    row, key = create_api_key(tenant=poor.tenant, name="ended", actor="test")
    if reason == "revoked":
        revoke_api_key(tenant=poor.tenant, key_id=row.key_id, actor="test")
    elif reason == "expired":
        with tenant_schema(poor.code):
            ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        suspend_tenant(tenant=poor.tenant, reason="unpaid", actor="test")
    forget_all()
    for _ in range(2):  # from PostgreSQL, then from Redis
        assert ask(poor, key=key).status_code in {401, 403}
        forget_all()
    ask(poor, key=key[:-1] + ("a" if key[-1] != "a" else "b"))

    told = latest_refusals(poor.code)
    assert len(told) == 2, "who guesses a key fills nobody's list"
    assert {each.key_id for each in told} == {row.key_id}
    assert all(reason in each.message for each in told)


def test_counts_add_up_over_saves(poor: Cast) -> None:
    for _ in range(3):
        ask(poor)
        save(poor)

    assert counted(poor) == 3
    hour = datetime.fromtimestamp(time.time() // 3600 * 3600, UTC)
    with tenant_schema(poor.code):
        (bucket,) = end_buckets(start=hour, end=datetime.now(UTC), width="month")
    assert (bucket.end, bucket.calls, bucket.cost_nusd) == ("insufficient_quota", 3, 0)


@pytest.mark.parametrize(
    ("body", "code", "model"),
    [
        ({**CHAT, "model": "gpt-nonsense"}, "model_not_found", "gpt-nonsense"),
        ({**CHAT, "temprature": 1}, "unknown_parameter", ""),
        ({**CHAT, "max_tokens": -1}, "invalid_value", ""),
    ],
)
def test_calls_that_make_no_sense_are_among_them(
    acme: Any, body: Any, code: str, model: str
) -> None:
    ask(acme, body)

    (refusal,) = latest_refusals(acme.code)
    assert refusal.ai_model == model
    if code != "invalid_value":
        assert refusal.code == code


def test_a_key_that_may_not_is_among_them(acme: Any) -> None:
    _, elsewhere = create_api_key(
        tenant=acme.tenant, name="there", actor="test", ip_ranges=["203.0.113.0/24"]
    )
    _, reader = create_api_key(tenant=acme.tenant, name="reader", actor="test", scopes=["usage"])
    ask(acme, key=elsewhere)
    ask(acme, key=reader)

    codes = [refusal.code for refusal in latest_refusals(acme.code)]
    assert codes == ["insufficient_permissions", "ip_not_authorized"]


def test_a_call_that_was_let_through_is_none_whatever_comes_after(acme: Any) -> None:
    request = RequestFactory().post("/v1/chat/completions")
    request.id = uuid7()  # type: ignore[attr-defined]
    progress.note_asked(request.id, "some-model")  # type: ignore[attr-defined]
    progress.note_admitted(request.id)  # type: ignore[attr-defined]

    note_unless_admitted(request, resolve_key(acme.key), UpstreamError("It failed."))

    assert latest_refusals(acme.code) == []


def test_another_request_of_the_same_thread_is_not_taken_for_it(acme: Any) -> None:
    progress.note_asked(uuid7(), "some-model")
    assert progress.of(uuid7()).model == ""


def test_only_the_latest_are_kept(poor: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "KEPT", 3)
    for _ in range(5):
        ask(poor)

    save(poor)
    assert len(latest_refusals(poor.code)) == 3
    assert counted(poor) == 5


def test_counts_wait_while_postgresql_is_down(poor: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(poor)

    def down(*args: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(refusals, "_add", down)
        with pytest.raises(OperationalError):
            save(poor)

    assert counted(poor) == 0
    save(poor)
    assert counted(poor) == 1


def test_while_redis_is_down_a_refusal_is_still_told(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise exceptions.ConnectionError

    ask(acme)
    monkeypatch.setattr(refusals, "get_redis", down)

    answer = ask(acme, {**CHAT, "model": "gpt-nonsense"})

    assert answer.status_code == 404


def test_another_tenant_does_not_see_them(poor: Cast, globex: Any) -> None:
    ask(poor)
    save(poor)

    assert latest_refusals(globex.code) == []
    assert ends(globex) == []
