"""Paths, methods, tokens and the headers of every answer."""

import re

import pytest
import requests

from sandbox.workers_ai.tests.client import ACCOUNT, NATIVE, OPENAI, Caller, ask, script


def edge_error(code: int, message: str) -> dict[str, object]:
    errors = [{"code": code, "message": message}]
    return {"result": None, "success": False, "errors": errors, "messages": []}


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer stolen"]
)
def test_call_without_a_good_token_is_refused_by_the_edge(
    stand_in: Caller, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    response = requests.post(
        f"{stand_in.base}/run/{NATIVE}", json=ask("Hi"), headers=headers, timeout=5
    )

    assert response.status_code == 401
    assert response.json() == edge_error(10000, "Authentication error")
    assert "cf-ai-req-id" not in response.headers
    assert "cf-ray" in response.headers


def test_answer_of_a_model_carries_its_headers(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask("Hi"))

    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["cf-ai-req-id"])
    assert float(response.headers["cf-ai-neurons"]) > 0
    assert response.headers["cf-ray"]
    assert response.headers["Content-Type"] == "application/json"


def test_stream_carries_the_request_id_but_no_neurons(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask("Hi", stream=True))

    assert "cf-ai-req-id" in response.headers
    assert "cf-ai-neurons" not in response.headers


def test_call_through_a_gateway_carries_its_log_id(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask("Hi"), headers={"cf-aig-gateway-id": "main"})

    assert response.headers["cf-aig-step"] == "0"
    assert response.headers["cf-aig-log-id"]


def test_model_id_may_be_percent_encoded(stand_in: Caller) -> None:
    encoded = NATIVE.replace("@", "%40").replace("/", "%2F")

    response = stand_in.run(encoded, ask(script(text="yes")))

    assert response.json()["result"]["response"] == "yes"
    assert stand_in.calls()[-1]["model"] == NATIVE


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "ai/v1/models", 405, 7001),
        ("GET", f"ai/run/{NATIVE}", 405, 7001),
        ("PUT", "ai/v1/chat/completions", 405, 7001),
        ("DELETE", "ai/run", 405, 7001),
        ("POST", "ai/v1/nothing", 404, 7000),
        ("GET", "nothing", 404, 7000),
    ],
)
def test_path_or_method_that_is_not_served(
    stand_in: Caller, method: str, path: str, status: int, code: int
) -> None:
    url = f"{stand_in.url}/client/v4/accounts/{ACCOUNT}/{path}"

    response = requests.request(method, url, headers=stand_in.headers(), timeout=5)

    assert response.status_code == status
    assert response.json()["errors"][0]["code"] == code
    assert response.json()["result"] is None
    assert "cf-ai-req-id" not in response.headers


def test_path_outside_the_api_has_no_route(stand_in: Caller) -> None:
    response = requests.get(f"{stand_in.url}/elsewhere", headers=stand_in.headers(), timeout=5)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (404, 7000)


def test_impossible_account_id(stand_in: Caller) -> None:
    url = f"{stand_in.url}/client/v4/accounts/a%20b/ai/run/{NATIVE}"

    response = requests.post(url, json=ask("Hi"), headers=stand_in.headers(), timeout=5)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (404, 7003)
    assert "could not route" in response.json()["errors"][0]["message"].lower()


@pytest.mark.parametrize("path", ["v1/responses", "v1/messages"])
def test_parts_that_are_missing_say_so(stand_in: Caller, path: str) -> None:
    status, code, message = stand_in.error(stand_in.post(path, {"model": NATIVE, "input": "x"}))

    assert (status, code) == (400, 5006)
    assert "the sandbox does not serve" in message


def test_unified_form_answers_like_the_direct_one(stand_in: Caller) -> None:
    body = {"model": NATIVE, "input": ask(script(text="yes")), "options": {"rejectIfBusy": True}}

    response = stand_in.post("run", body, headers={"cf-aig-gateway-id": "main"})

    assert response.json()["result"]["response"] == "yes"


def test_unified_form_needs_a_gateway(stand_in: Caller) -> None:
    response = stand_in.post("run", {"model": NATIVE, "input": ask("Hi")})

    assert stand_in.error(response)[:2] == (400, 3003)


def test_unified_form_with_a_third_party_model_is_refused_by_the_gateway(
    stand_in: Caller,
) -> None:
    response = stand_in.post("run", {"model": "openai/gpt-5", "input": ask("Hi")})

    assert response.status_code == 404
    assert response.json() == {
        "success": False,
        "result": [],
        "messages": [],
        "error": [{"code": 7003, "message": "Model not found"}],
    }


def test_health_is_answered_without_a_token(stand_in: Caller) -> None:
    response = requests.get(f"{stand_in.url}/health", timeout=5)

    health = response.json()
    assert (health["status"], health["local_model"]) == ("ok", "off")
    assert health["small_models"] == {"embedder": "off", "voice": "off", "ear": "off"}


def test_openai_client_paths_work_below_the_v1_base(stand_in: Caller) -> None:
    response = stand_in.chat(OPENAI, ask("Hi"))

    assert response.json()["object"] == "chat.completion"
