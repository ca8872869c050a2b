"""Calls from the playground: made by the member who is signed in, through the pipeline of /v1."""

import re
import time
from typing import Any

import pytest
import requests
from django.test import Client

from billing.admission.services import books
from billing.dashboard.tests.builders import as_member, signed_in
from tenants.audit.models import AuditEvent
from tenants.keys.lookup import resolve_key
from tenants.keys.models import ApiKey
from tenants.keys.services import KeyEndedError, revoke_api_key, rotate_api_key, update_api_key
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import suspend_tenant
from tenants.users.models import Membership, Role
from tenants.users.services import add_member

MODEL = "llama-3.3-70b-fast"


def path_of(cast: Any, endpoint: str = "chat/completions") -> str:
    return f"/t/{cast.tenant.slug}/playground/v1/{endpoint}"


def chat_body(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def playground_keys(cast: Any) -> list[ApiKey]:
    with tenant_schema(cast.code):
        return list(ApiKey.objects.filter(source=ApiKey.Source.PLAYGROUND))


def expect_nothing_spent(cast: Any) -> None:
    assert books(cast.tenant).held == 0
    assert books(cast.tenant).unsettled == 0


class Browser:
    """A member at a page of the running product: cookies, and the token that stands in it."""

    def __init__(self, gateway: Any, user: Any, cast: Any) -> None:
        self.url, self.cast = gateway.url, cast
        self.session = requests.Session()
        self.session.cookies.update(
            {name: morsel.value for name, morsel in signed_in(user).cookies.items()}
        )
        page = self.session.get(f"{self.url}/t/{cast.tenant.slug}/playground/", timeout=30)
        found = re.search(r'data-csrf="(\w+)"', page.text)
        assert found, page.status_code
        self.token = found[1]

    def post(self, endpoint: str = "chat/completions", **options: Any) -> requests.Response:
        headers = {"X-CSRFToken": self.token, **options.pop("headers", {})}
        return self.session.post(
            self.url + path_of(self.cast, endpoint), headers=headers, timeout=30, **options
        )


def records(gateway: Any, cast: Any, count: int) -> list[Any]:
    """Usage records once they are settled."""
    from billing.usage.models import UsageRecord

    for _ in range(100):
        with tenant_schema(cast.code):
            found = list(UsageRecord.objects.all())
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} records instead of {count}")


# --- Who may ------------------------------------------------------------------------


def test_strangers_get_nothing_and_spend_nothing(acme: Any, globex: Any) -> None:
    for client in (signed_in(globex.owner), as_member(globex, Role.DEVELOPER)):
        for endpoint in ("chat/completions", "embeddings", "nonsense"):
            answer = client.post(path_of(acme, endpoint), chat_body(), "application/json")
            assert answer.status_code == 404
    assert playground_keys(acme) == []
    expect_nothing_spent(acme)


def test_nobody_without_a_session_gets_in(acme: Any) -> None:
    answer = Client().post(path_of(acme), chat_body(), "application/json")
    assert (answer.status_code, "/accounts/login/" in answer.headers["Location"]) == (302, True)

    # Nor does a key that is sent along help: this is no door for programs.
    answer = Client().post(path_of(acme), chat_body(), "application/json", headers=acme.auth)
    assert answer.status_code == 302
    assert playground_keys(acme) == []
    expect_nothing_spent(acme)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BILLING])
def test_roles_that_may_not_call_get_nothing(acme: Any, role: Role) -> None:
    client = as_member(acme, role)

    assert client.post(path_of(acme), chat_body(), "application/json").status_code == 403
    assert client.get(f"/t/{acme.tenant.slug}/playground/").status_code == 403
    assert playground_keys(acme) == []
    expect_nothing_spent(acme)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_without_the_token_of_the_page_nothing_is_called(acme: Any, content_type: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.owner)
    client.get(f"/t/{acme.tenant.slug}/playground/")

    for headers in ({}, {"X-CSRFToken": "x" * 64}, acme.auth):
        answer = client.generic("POST", path_of(acme), "{}", content_type, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "csrf_failed"
    assert playground_keys(acme) == []
    expect_nothing_spent(acme)


def test_only_posts_to_endpoints_that_are_there(acme: Any) -> None:
    client = signed_in(acme.owner)

    assert client.get(path_of(acme)).status_code == 405
    for endpoint in ("keys", "balance", "run/llama-3.3-70b-fast", "messages"):
        assert client.post(path_of(acme, endpoint), {}, "application/json").status_code == 404


def test_a_suspended_workspace_calls_nothing(acme: Any) -> None:
    suspend_tenant(tenant=acme.tenant, reason="overdue", actor="test")

    answer = signed_in(acme.owner).post(path_of(acme), chat_body(), "application/json")

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "tenant_suspended"


# --- Refusals are the API's ---------------------------------------------------------


def test_a_wrong_parameter_is_told_as_below_v1(acme: Any) -> None:
    answer = signed_in(acme.owner).post(path_of(acme), chat_body(temperature=9), "application/json")

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "temperature"
    assert answer.headers["x-request-id"].startswith("req_")
    assert "Access-Control-Allow-Origin" not in answer.headers
    expect_nothing_spent(acme)


def test_a_refusal_is_counted_at_the_members_key(acme: Any) -> None:
    from billing.usage.refusals import latest_refusals

    signed_in(acme.owner).post(path_of(acme), chat_body(top_p=7), "application/json")

    (key,) = playground_keys(acme)
    with tenant_schema(acme.code):
        (refusal,) = latest_refusals(acme.code)
    assert (refusal.key_id, refusal.endpoint) == (key.key_id, "chat/completions")


# --- The key ------------------------------------------------------------------------


def test_each_member_has_one_key_of_their_own(acme: Any) -> None:
    developer = add_member(
        tenant=acme.tenant, email=f"dev@{acme.tenant.slug}.test", role=Role.DEVELOPER
    )
    for user in (acme.owner, developer, acme.owner, developer):
        signed_in(user).post(path_of(acme), chat_body(top_p=7), "application/json")

    keys = {key.member_id: key for key in playground_keys(acme)}
    assert set(keys) == {acme.owner.pk, developer.pk}
    assert keys[developer.pk].created_by == developer.email
    assert len(playground_keys(acme)) == 2
    with tenant_schema(acme.code):
        events = AuditEvent.objects.filter(subject=keys[developer.pk].prefix)
        assert [(each.action, each.actor) for each in events] == [
            ("api_key.created", developer.email)
        ]


def test_its_secret_is_nowhere(acme: Any) -> None:
    client = signed_in(acme.owner)
    client.post(path_of(acme), chat_body(top_p=7), "application/json")
    (key,) = playground_keys(acme)

    page = client.get(f"/t/{acme.tenant.slug}/playground/").content.decode()
    assert key.prefix not in page
    assert "oi_" not in page
    with pytest.raises(KeyEndedError):
        rotate_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test", overlap_s=0)


def test_its_limits_hold(acme: Any) -> None:
    client = signed_in(acme.owner)
    client.post(path_of(acme), chat_body(top_p=7), "application/json")
    (key,) = playground_keys(acme)
    update_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test", day_budget_nusd=1)

    answer = client.post(path_of(acme), chat_body(), "application/json")

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "key_budget_exceeded"
    expect_nothing_spent(acme)


def test_a_removed_member_gets_nothing_and_a_new_key_when_they_come_back(acme: Any) -> None:
    developer = add_member(
        tenant=acme.tenant, email=f"dev@{acme.tenant.slug}.test", role=Role.DEVELOPER
    )
    client = signed_in(developer)
    client.post(path_of(acme), chat_body(top_p=7), "application/json")
    (old,) = playground_keys(acme)
    revoke_api_key(tenant=acme.tenant, key_id=old.key_id, actor="test")
    Membership.objects.filter(user=developer, tenant=acme.tenant).delete()

    assert client.post(path_of(acme), chat_body(), "application/json").status_code == 404
    assert len(playground_keys(acme)) == 1

    Membership.objects.create(user=developer, tenant=acme.tenant, role=Role.DEVELOPER)
    client.post(path_of(acme), chat_body(top_p=7), "application/json")
    assert len(playground_keys(acme)) == 2


# --- The running product ------------------------------------------------------------


def test_a_streamed_chat_is_booked_to_the_member(gateway: Any) -> None:
    cast = gateway.cast()
    developer = add_member(
        tenant=cast.tenant, email=f"dev@{cast.tenant.slug}.test", role=Role.DEVELOPER
    )
    browser = Browser(gateway, developer, cast)

    body = chat_body(stream=True, stream_options={"include_usage": True})
    answer = browser.post(json=body, stream=True)

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-agentflare-model"] == MODEL
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert "request_cost" in lines[-2]
    (record,) = records(gateway, cast, 1)
    (key,) = playground_keys(cast)
    assert (record.key_id, key.member_id) == (key.key_id, developer.pk)
    assert record.cost_nusd > 0
    usage = browser.session.get(
        f"{gateway.url}/t/{cast.tenant.slug}/usage/?by=member&period=24h", timeout=30
    )
    assert developer.email in usage.text


def test_a_client_that_leaves_stops_upstream(gateway: Any) -> None:
    cast = gateway.cast()
    browser = Browser(gateway, cast.owner, cast)
    script = '[[sandbox {"tokens": 400, "chunk_ms": 50}]]'

    with browser.post(json=chat_body(script, stream=True), stream=True) as answer:
        next(answer.iter_lines())
    (record,) = records(gateway, cast, 1)

    assert record.status == "client_gone"
    assert record.output_tokens < 400


def test_another_members_token_and_slug_get_nothing(gateway: Any) -> None:
    acme, globex = gateway.cast(), gateway.cast(name="globex")
    browser = Browser(gateway, globex.owner, globex)
    browser.cast = acme

    assert browser.post(json=chat_body()).status_code == 404
    assert playground_keys(acme) == []


def test_the_other_endpoints_answer_too(gateway: Any) -> None:
    from inference.audio.tests.sounds import wav

    cast = gateway.cast()
    browser = Browser(gateway, cast.owner, cast)

    vectors = browser.post("embeddings", json={"model": "bge-m3", "input": ["a", "b"]})
    assert len(vectors.json()["data"]) == 2
    picture = browser.post(
        "images/generations", json={"model": "flux-1-schnell", "prompt": "A lighthouse"}
    )
    assert picture.json()["data"][0]["b64_json"]
    speech = browser.post(
        "audio/speech",
        json={"model": "aura-2-en", "input": "Hello", "voice": "thalia", "stream_format": "sse"},
    )
    assert "speech.audio.done" in speech.text
    transcript = browser.post(
        "audio/transcriptions",
        data={"model": "whisper"},
        files={"file": ("a.wav", wav(2), "audio/wav")},
    )
    assert "text" in transcript.json(), transcript.text
    assert len(records(gateway, cast, 4)) == 4


def test_no_program_can_use_it(acme: Any) -> None:
    """What stands in its row is no key: nobody has what its digest was made from."""
    signed_in(acme.owner).post(path_of(acme), chat_body(top_p=7), "application/json")
    (key,) = playground_keys(acme)

    with pytest.raises(Exception, match="Incorrect API key"):
        resolve_key(key.prefix + "x" * 38)
