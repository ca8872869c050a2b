"""The operator's page of upstreams, with calls over HTTP behind it."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from inference.tests.settled import say, wait_for
from inference.tests.test_how_calls_end import open_stream
from inference.upstreams.models import Upstream
from inference.upstreams.services import add_upstream
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser, staff_browser

PAGE = "/admin/upstream-health/"
NAME = "second-account"
MODEL = "llama-3.2-1b"


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


@pytest.fixture
def second(gateway: Any) -> Iterator[Upstream]:
    """Another account of the pool, which takes nearly all calls."""
    env = gateway.sandbox.env
    yield add_upstream(
        name=NAME,
        provider="workers_ai",
        api_token=env["CLOUDFLARE_API_TOKEN"],
        account_id="second",
        base_url=env["CLOUDFLARE_BASE_URL"],
        weight=10_000,
    )
    Upstream.objects.filter(name=NAME).delete()


def page(client: Client) -> str:
    return str(client.get(PAGE).content.decode())


def switch(client: Client, state: str, **fields: str) -> str:
    form = {"state": state, "reason": "A test", **fields}
    answer = client.post(f"{PAGE}{NAME}/switch/", form, follow=True)
    return str(answer.content.decode())


def upstream_of(gateway: Any, mark: str) -> str:
    (call,) = gateway.upstream_calls(mark)
    return str(call["account"])


def test_calls_are_seen_with_their_failures(
    gateway: Any, second: Upstream, operator: Client
) -> None:
    cast = gateway.cast()
    wait_until_all_go_to(gateway, cast, "second")
    fault = {"status": 500, "code": 3043, "message": "AiError: broken"}
    failed = gateway.chat(cast, say(error=fault), model=MODEL)
    assert failed.status_code >= 500, failed.text
    wait_for(lambda: "Last failure" in page(operator), timeout_s=10)
    told = page(operator)
    assert NAME in told
    assert cast.key not in told


def test_drained_it_gets_no_new_calls_within_seconds_and_those_that_run_go_on(
    gateway: Any, second: Upstream, operator: Client
) -> None:
    cast = gateway.cast()
    wait_until_all_go_to(gateway, cast, "second")
    # Longer than anything below takes, however busy the machine is.
    wire = open_stream(gateway, cast, say(tokens=2000, chunk_ms=50), MODEL)
    read_tokens(wire, 1)
    wait_for(lambda: "Running now</dt><dd>1" in page(operator), timeout_s=10)

    assert "gets no new calls" in switch(operator, "off", is_sure="on")
    wait_for(lambda: all(not _goes_to(gateway, cast, "second") for _ in range(6)), timeout_s=20)
    wait_for(lambda: "draining: 1 running" in page(operator), timeout_s=10)
    read_tokens(wire, 60)
    wire.close()
    wait_for(lambda: "draining" not in page(operator), timeout_s=10)

    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.subject, action.reason) == ("upstream.drained", NAME, "A test")
    assert "is called again" in switch(operator, "active")
    wait_until_all_go_to(gateway, cast, "second")


def read_tokens(wire: Any, count: int) -> None:
    while count:
        line = wire.readline()
        assert line, "the stream is at its end"
        count -= b"tok" in line


def wait_until_all_go_to(gateway: Any, cast: Any, account: str) -> None:
    """Of all processes."""
    wait_for(lambda: all(_goes_to(gateway, cast, account) for _ in range(8)), timeout_s=20)


def _goes_to(gateway: Any, cast: Any, account: str) -> bool:
    mark = f"{cast.code} {time.monotonic_ns()}"
    assert gateway.chat(cast, mark, model=MODEL).status_code == 200
    return upstream_of(gateway, mark) == account


def test_the_last_account_is_drained_by_who_is_sure(operator: Client, settings: Any) -> None:
    settings.CLOUDFLARE_ACCOUNT_ID = ""
    add_upstream(name=NAME, provider="workers_ai", api_token="x", account_id="second")
    try:
        assert "is the last account" in switch(operator, "off")
        assert Upstream.objects.get(name=NAME).state == "active"
        switch(operator, "off", is_sure="on")
        assert Upstream.objects.get(name=NAME).state == "off"
    finally:
        Upstream.objects.filter(name=NAME).delete()


def test_the_last_account_is_not_switched_off_or_deleted_by_its_form(
    operator: Client, settings: Any
) -> None:
    settings.CLOUDFLARE_ACCOUNT_ID = ""
    add_upstream(name=NAME, provider="workers_ai", api_token="x", account_id="second")
    page = f"/admin/upstreams/upstream/{NAME}/"
    form = {
        "account_id": "second",
        "base_url": "",
        "gateway_id": "",
        "api_token": "",
        "weight": "1",
        "requests_per_minute": "{}",
        "state": "off",
        "reason": "A test",
    }
    try:
        # One whose token cannot be read serves nobody, and is no other.
        Upstream.objects.create(name=f"{NAME}-3", account_id="third", secret="of another key")
        assert "is the last account" in operator.post(f"{page}change/", form).content.decode()
        assert operator.get(f"{page}delete/").status_code == 403
        assert Upstream.objects.get(name=NAME).state == "active"
        add_upstream(name=f"{NAME}-4", provider="workers_ai", api_token="x", account_id="fourth")
        assert operator.get(f"{page}delete/").status_code == 200
        assert operator.post(f"{page}change/", form).status_code == 302
        assert Upstream.objects.get(name=NAME).state == "off"
    finally:
        Upstream.objects.filter(name__startswith=NAME).delete()


def test_a_test_call_goes_through_this_very_account_and_costs_no_tenant(
    gateway: Any, second: Upstream, operator: Client
) -> None:
    Upstream.objects.filter(name=NAME).update(state="off")
    form = {"ai_model": MODEL, "reason": "Is the token good?"}
    told = operator.post(f"{PAGE}{NAME}/test/", form, follow=True).content.decode()

    assert f"{NAME} answered for {MODEL} in" in told
    assert "neurons" in told
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.reason) == ("upstream.tested", "Is the token good?")
    assert action.detail["failure"] == ""


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"ai_model": MODEL}, "say why"),
        ({"ai_model": "no-such-model", "reason": "x"}, "no model no-such-model"),
        ({"reason": "x"}, "Choose a model"),
    ],
)
def test_a_test_that_cannot_be_is_refused(
    gateway: Any, second: Upstream, operator: Client, form: dict[str, str], told: str
) -> None:
    assert told in operator.post(f"{PAGE}{NAME}/test/", form, follow=True).content.decode()


def test_a_failed_test_tells_upstreams_words(operator: Client) -> None:
    add_upstream(
        name=NAME,
        provider="workers_ai",
        api_token="secret-token-7",
        account_id="second",
        base_url="http://127.0.0.1:9",
    )
    try:
        form = {"ai_model": MODEL, "reason": "x"}
        told = operator.post(f"{PAGE}{NAME}/test/", form, follow=True).content.decode()
        assert f"{NAME} did not answer for {MODEL}" in told
        assert "secret-token-7" not in told
    finally:
        Upstream.objects.filter(name=NAME).delete()


def test_limits_are_whole_numbers_of_kinds_that_there_are(
    second: Upstream, operator: Client
) -> None:
    path = f"/admin/upstreams/upstream/{NAME}/change/"
    form = {"account_id": "second", "weight": "1", "state": "active", "reason": "x"}
    for wrong in ('{"chat": -1}', '{"chat": "many"}', '{"dancing": 5}', "[1]", "{"):
        answer = operator.post(path, {**form, "requests_per_minute": wrong})
        assert "requests_per_minute" in answer.context["adminform"].form.errors, wrong
    operator.post(path, {**form, "requests_per_minute": '{"chat": 600}'})
    assert Upstream.objects.get(name=NAME).requests_per_minute == {"chat": 600}


def test_who_looks_may_not_switch(second: Upstream) -> None:
    client = staff_browser("view_upstream")
    assert client.get(PAGE).status_code == 200
    assert "Drain" not in page(client)
    for what in ("switch", "test"):
        assert client.post(f"{PAGE}{NAME}/{what}/", {"reason": "x"}).status_code == 403
    assert operator_browser().post(f"{PAGE}nobody/switch/", {}).status_code == 404
    assert staff_browser().get(PAGE).status_code == 403
