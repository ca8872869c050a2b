"""Failures for some accounts or models only, and upstream being busy: what fail-over is for."""

import time

import pytest

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, script

BUSY_429 = (429, 3040, "AiError: AiError: Capacity temporarily exceeded, please try again.")


def at(stand_in: Caller, account: str) -> Caller:
    return Caller(stand_in.url, account=account)


def test_failure_for_certain_accounts(stand_in: Caller) -> None:
    body = ask(
        script(text="yes", account=["acct-a", "acct-b"], error={"status": 429, "code": 4006})
    )

    answers = {
        name: at(stand_in, name).run(NATIVE, body).status_code
        for name in ("acct-a", "acct-b", "acct-c")
    }

    assert answers == {"acct-a": 429, "acct-b": 429, "acct-c": 200}


def test_failure_for_a_certain_model(stand_in: Caller) -> None:
    body = ask(script(text="yes", model=OPENAI, error=True))

    assert stand_in.chat(OPENAI, body).status_code == 500
    assert stand_in.chat(NATIVE, body).status_code == 200


def test_others_may_fail_in_another_way(stand_in: Caller) -> None:
    text = script(
        account="acct-a",
        error={"status": 429, "code": 3036},
        otherwise={
            "account": "acct-b",
            "error": {"status": 500},
            "otherwise": {"text": "from the third", "delay_ms": 1},
        },
    )

    first, second, third = (
        at(stand_in, name).run(NATIVE, ask(text)) for name in ("acct-a", "acct-b", "acct-c")
    )

    assert stand_in.error(first)[:2] == (429, 3036)
    assert stand_in.error(second)[:2] == (500, 3043)
    assert third.json()["result"]["response"] == "from the third"


def test_failures_are_counted_only_where_they_apply(stand_in: Caller) -> None:
    text = script(text="yes", account="acct-a", error=True, error_times=1, id=f"one-{time.time()}")

    statuses = [
        at(stand_in, name).run(NATIVE, ask(text)).status_code
        for name in ("acct-c", "acct-a", "acct-c", "acct-a")
    ]

    assert statuses == [200, 500, 200, 200]


@pytest.mark.parametrize("surface", ["run", "v1", "unified"])
def test_busy_model_refuses_those_who_will_not_wait(stand_in: Caller, surface: str) -> None:
    body = ask(script(text="yes", busy=30))
    options = {"rejectIfBusy": True}
    if surface == "run":
        response = stand_in.run(NATIVE, {**body, "options": options})
    elif surface == "v1":
        response = stand_in.chat(NATIVE, {**body, "options": options})
    else:
        unified = {"model": NATIVE, "input": body, "options": options}
        response = stand_in.post("run", unified, headers={"cf-aig-gateway-id": "main"})

    assert stand_in.error(response) == BUSY_429
    assert stand_in.calls()[-1]["reject_if_busy"] is True


def test_busy_model_keeps_the_others_waiting(stand_in: Caller) -> None:
    started = time.monotonic()

    response = stand_in.run(NATIVE, ask(script(text="yes", busy=0.2)))

    assert response.status_code == 200
    assert time.monotonic() - started > 0.2
    assert stand_in.calls()[-1]["reject_if_busy"] is False


def test_busy_for_one_account_only(stand_in: Caller) -> None:
    body = {
        **ask(script(text="yes", busy=30, account="acct-a")),
        "options": {"rejectIfBusy": True},
    }

    assert stand_in.error(at(stand_in, "acct-a").run(NATIVE, body))[:2] == (429, 3040)
    assert at(stand_in, "acct-b").run(NATIVE, body).status_code == 200


def test_other_kinds_are_busy_too(stand_in: Caller) -> None:
    body = {"text": script("x", busy=30), "options": {"rejectIfBusy": True}}

    assert stand_in.error(stand_in.run("@cf/baai/bge-m3", body)) == BUSY_429
