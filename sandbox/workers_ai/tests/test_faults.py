"""Every way of failing that a directive can ask for."""

import json
import re
import socket
import time
from typing import Any

import pytest
import requests

from sandbox.workers_ai.tests.client import (
    NATIVE,
    OPENAI,
    Caller,
    ask,
    events,
    frames,
    script,
    wait_until,
)

FORMS = [(NATIVE, "run"), (OPENAI, "run"), (NATIVE, "v1"), (OPENAI, "v1")]
each_form = pytest.mark.parametrize(("model", "surface"), FORMS)


def send(
    stand_in: Caller, model: str, surface: str, body: dict[str, Any], **options: Any
) -> requests.Response:
    call = stand_in.run if surface == "run" else stand_in.chat
    return call(model, body, **options)


def last_end(stand_in: Caller) -> Any:
    return stand_in.calls()[-1]["ended"]


@each_form
@pytest.mark.parametrize("stream", [False, True])
def test_error_has_the_envelope_of_the_inference_layer(
    stand_in: Caller, model: str, surface: str, stream: bool
) -> None:
    error = {"status": 429, "code": 3040, "message": "Capacity temporarily exceeded"}

    response = send(stand_in, model, surface, ask(script(error=error), stream=stream))

    expected = (429, 3040, "AiError: AiError: Capacity temporarily exceeded")
    assert stand_in.error(response) == expected
    assert response.json()["result"] == {}
    assert last_end(stand_in) == "fault"


def test_error_is_an_internal_one_by_default_and_its_code_may_be_text(stand_in: Caller) -> None:
    default = stand_in.error(stand_in.chat(OPENAI, ask(script(error=True))))
    text_code = stand_in.error(stand_in.chat(OPENAI, ask(script(error={"code": "4006"}))))

    assert default == (500, 3043, "AiError: AiError: Internal server error")
    assert text_code[:2] == (500, "4006")


def test_error_that_goes_away_after_some_calls(stand_in: Caller) -> None:
    text = script(text="at last", error={"status": 429}, error_times=2, id=f"twice-{time.time()}")

    statuses = [stand_in.chat(OPENAI, ask(text)).status_code for _ in range(4)]

    assert statuses == [429, 429, 200, 200]


def test_any_fault_can_go_away(stand_in: Caller) -> None:
    text = script(tokens=3, cut_after=1, error_times=1, id=f"once-{time.time()}")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        stand_in.chat(OPENAI, ask(text, stream=True))
    again = frames(stand_in.chat(OPENAI, ask(text, stream=True)))

    assert again[-1] == "[DONE]"


def test_success_false_with_status_200(stand_in: Caller) -> None:
    response = stand_in.chat(OPENAI, ask(script(success_false=True)))

    assert stand_in.error(response)[:2] == (200, 3043)


@pytest.mark.parametrize(("html", "status"), [(True, 524), (502, 502)])
def test_page_of_the_edge(stand_in: Caller, html: Any, status: int) -> None:
    response = stand_in.chat(OPENAI, ask(script(html=html), stream=True))

    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<!DOCTYPE html>" in response.text


def test_error_of_the_gateway(stand_in: Caller) -> None:
    response = stand_in.chat(OPENAI, ask(script(gateway_error=True)))

    assert response.status_code == 429
    assert response.json() == {
        "success": False,
        "result": [],
        "messages": [],
        "error": [{"code": 2003, "message": "Rate limited"}],
    }


@each_form
def test_truncated_json(stand_in: Caller, model: str, surface: str) -> None:
    response = send(stand_in, model, surface, ask(script(text="x", truncated_json=True)))

    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)
    assert last_end(stand_in) == "fault"


def test_truncated_json_in_a_stream_is_half_a_frame(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask(script(text="x", truncated_json=True), stream=True))

    assert response.text.startswith('data: {"resp')
    assert "\n\n" not in response.text


@each_form
@pytest.mark.parametrize("chunks", [0, 2, 3])
def test_connection_cut_in_a_stream(
    stand_in: Caller, model: str, surface: str, chunks: int
) -> None:
    body = ask(script(tokens=3, cut_after=chunks), stream=True)

    response = send(stand_in, model, surface, body, stream=True)
    parts: list[bytes] = []
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        parts.extend(response.iter_content(None))
    received = b"".join(parts)

    assert len(re.findall(rb"tok\d", received)) == chunks
    assert b"[DONE]" not in received
    call = stand_in.calls()[-1]
    assert (call["ended"], call["chunks_sent"], call["tokens_sent"]) == ("fault", chunks, chunks)


def test_connection_cut_in_a_json_answer(stand_in: Caller) -> None:
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        stand_in.chat(OPENAI, ask(script(text="x", cut_after=0)))


@each_form
@pytest.mark.parametrize("chunks", [0, 2, 3])
def test_stream_that_ends_cleanly_but_too_soon(
    stand_in: Caller, model: str, surface: str, chunks: int
) -> None:
    body = ask(script(tokens=3, end_after=chunks), stream=True)

    response = send(stand_in, model, surface, body)

    received = list(events(response.text)) if response.text else []
    assert "[DONE]" not in received
    assert len(re.findall(r"tok\d", response.text)) == chunks
    assert '"response":"","usage"' not in response.text


@each_form
def test_error_frame_in_a_stream(stand_in: Caller, model: str, surface: str) -> None:
    body = ask(script(tokens=3, error_frame_after=1), stream=True)

    *_, chunk, error = frames(send(stand_in, model, surface, body))

    assert "tok1" in json.dumps(chunk)
    if model == NATIVE and surface == "run":
        assert error["success"] is False
        assert error["errors"][0]["code"] == 3043
    else:
        assert (error["object"], error["code"]) == ("error", 500)


def test_stall_ends_after_a_time(stand_in: Caller) -> None:
    started = time.monotonic()

    events = frames(
        stand_in.chat(OPENAI, ask(script(tokens=3, stall_after=1, stall_ms=300), stream=True))
    )

    assert time.monotonic() - started >= 0.3
    assert events[-1] == "[DONE]"


def test_stall_without_end_lasts_until_the_client_leaves(stand_in: Caller) -> None:
    body = ask(script(tokens=3, stall_after=2), stream=True)
    response = stand_in.chat(OPENAI, body, stream=True)
    lines = response.iter_lines(1)
    while b"tok2" not in next(lines):
        pass
    assert last_end(stand_in) is None

    response.close()

    wait_until(lambda: last_end(stand_in) == "client_gone")
    assert stand_in.calls()[-1]["chunks_sent"] == 2


def test_hanging_call_never_answers(stand_in: Caller) -> None:
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{stand_in.base}/run/{NATIVE}",
            json=ask(script(hang=True)),
            headers=stand_in.headers(),
            timeout=0.3,
        )

    wait_until(lambda: last_end(stand_in) == "client_gone")


def test_reset_before_any_byte(stand_in: Caller) -> None:
    connection = stand_in.raw_post(f"run/{NATIVE}", ask(script(reset=True)))

    with pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert last_end(stand_in) == "fault"
    connection.close()


def test_cut_arrives_as_an_end_without_the_last_chunk(stand_in: Caller) -> None:
    body = ask(script(tokens=3, cut_after=1), stream=True)
    connection = stand_in.raw_post(f"run/{NATIVE}", body)

    received = read_all(connection)

    assert b"tok1" in received
    assert not received.endswith(b"0\r\n\r\n")


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65_536):
        received += part
    connection.close()
    return received
