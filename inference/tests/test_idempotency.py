"""An Idempotency-Key, over HTTP: the first answer again, charged once."""

import json
from typing import Any

import pytest
import requests

from billing.admission.services import books
from billing.ledger.models import AccountCode, JournalEntry
from billing.ledger.services import Line, credit_account, post_entry, sync_gate
from inference.tests.settled import nusd, say, settled_record, settled_records, wait_for
from tenants.registry.schemas import tenant_schema

MODELS = pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def chat(
    gateway: Any,
    cast: Any,
    text: str,
    *,
    key: str = "k1",
    read: bool = True,
    timeout_s: float = 40,
    **params: Any,
) -> requests.Response:
    body = {
        "model": "llama-3.3-70b-fast",
        "messages": [{"role": "user", "content": text}],
        **params,
    }
    return requests.post(
        f"{gateway.base_url}/chat/completions",
        json=body,
        headers={**cast.auth, "Idempotency-Key": key},
        stream=not read,
        timeout=timeout_s,
    )


def error_code(response: requests.Response) -> str:
    return str(response.json()["error"]["code"])


@MODELS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.billing_row("repeated with its `Idempotency-Key`")
def test_a_repeat_gets_the_same_bytes_and_is_not_charged(
    gateway: Any, cast: Any, model: str, stream: bool
) -> None:
    params: dict[str, Any] = {"model": model, "stream": stream}
    if stream:
        params["stream_options"] = {"include_usage": True}
    text = say(text="one two three") + cast.code
    first = chat(gateway, cast, text, **params)
    again = chat(gateway, cast, text, **params)

    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    first_id = first.headers["x-request-id"]
    assert again.headers["x-agentflare-original-request-id"] == first_id
    assert again.headers["x-request-id"] not in {"", first_id}
    assert again.headers.get("x-request-cost") == first.headers.get("x-request-cost")
    assert again.headers["x-estimated-cost"] == first.headers["x-estimated-cost"]
    assert len(gateway.upstream_calls(cast.code)) == 1
    record = settled_record(cast)
    assert (record.status, record.truth) == ("completed", "provider")
    assert books(cast.tenant).available == 25 * 10**9 - record.cost_nusd
    if stream:
        assert first.text.endswith("data: [DONE]\n\n")
    else:
        assert nusd(first.headers["x-request-cost"]) == record.cost_nusd


@pytest.mark.parametrize("stream", [False, True])
def test_while_the_first_runs_a_repeat_is_refused_and_then_answered(
    gateway: Any, cast: Any, stream: bool
) -> None:
    text = say(tokens=10, chunk_ms=150, delay_ms=500) + cast.code
    if stream:
        first = chat(gateway, cast, text, stream=True, read=False)
    else:
        with pytest.raises(requests.Timeout):
            chat(gateway, cast, text, timeout_s=0.3, stream=False)

    refused = chat(gateway, cast, text, stream=stream)
    assert (refused.status_code, error_code(refused)) == (409, "idempotency_key_in_use")
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["type"] == "invalid_request_error"

    told = first.content if stream else None
    again = wait_for(lambda: answered(gateway, cast, text, stream=stream))
    assert again.headers["idempotent-replayed"] == "true"
    assert told in {None, again.content}
    assert len(gateway.upstream_calls(cast.code)) == 1
    assert settled_record(cast).status == "completed"


def answered(gateway: Any, cast: Any, text: str, **params: Any) -> requests.Response | None:
    response = chat(gateway, cast, text, **params)
    if response.status_code == 409:
        assert error_code(response) == "idempotency_key_in_use"
        return None
    assert response.status_code == 200, response.text
    return response


@MODELS
@pytest.mark.billing_row("the client left, but sent an `Idempotency-Key`")
def test_a_stream_whose_client_leaves_runs_to_its_end_and_is_there_for_the_retry(
    gateway: Any, cast: Any, model: str
) -> None:
    text = say(tokens=20, chunk_ms=100) + cast.code
    first = chat(gateway, cast, text, model=model, stream=True, read=False)
    start = next(first.iter_content(100))
    first.close()

    again = wait_for(lambda: answered(gateway, cast, text, model=model, stream=True))

    assert again.headers["idempotent-replayed"] == "true"
    assert again.content.startswith(start)
    assert again.text.endswith("data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in again.text.split("\n\n")[:-2]]
    delivered = [c["choices"][0]["delta"].get("content") for c in chunks]
    assert sum(map(bool, delivered)) == 20
    calls = gateway.upstream_calls(cast.code)
    assert [call["ended"] for call in calls] == ["completed"]
    record = settled_record(cast)
    assert (record.status, record.output_tokens) == ("completed", 20)


def test_a_client_that_leaves_before_the_first_token_has_its_answer_too(
    gateway: Any, cast: Any
) -> None:
    text = say(text="late", delay_ms=1500) + cast.code
    with pytest.raises(requests.Timeout):
        chat(gateway, cast, text, timeout_s=0.5, stream=True)

    again = wait_for(lambda: answered(gateway, cast, text, stream=True))

    assert again.text.endswith("data: [DONE]\n\n")
    assert settled_record(cast).status == "completed"


def test_another_body_is_refused_and_nothing_is_held(gateway: Any, cast: Any) -> None:
    chat(gateway, cast, say(text="one"))
    settled_record(cast)
    before = books(cast.tenant)

    refused = chat(gateway, cast, say(text="two") + cast.code)

    assert (refused.status_code, error_code(refused)) == (422, "idempotency_key_reused")
    assert books(cast.tenant) == before
    assert gateway.upstream_calls(cast.code) == []


def test_the_key_of_another_tenant_is_another_key(gateway: Any, cast: Any) -> None:
    globex = gateway.cast(name="globex")
    chat(gateway, cast, say(text="acme's secret"))

    other = chat(gateway, globex, say(text="acme's secret"))

    assert other.status_code == 200
    assert "idempotent-replayed" not in other.headers
    settled_records(globex, 1)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_bad_key_is_refused(gateway: Any, cast: Any, key: str) -> None:
    refused = chat(gateway, cast, say(text="one"), key=key)

    assert refused.status_code == 400
    assert "Idempotency-Key" in refused.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_not_kept(gateway: Any, cast: Any, stream: bool) -> None:
    fault = {"status": 500, "code": 3043, "message": "AiError: boom"}
    text = say(text="at last", error=fault, error_times=5, id=cast.code)
    answers = []
    while not answers or answers[-1].status_code != 200:
        answers.append(chat(gateway, cast, text, stream=stream))
        assert len(answers) < 7

    assert [each.status_code for each in answers[:-1]] == [502] * (len(answers) - 1)
    assert len(answers) > 1
    records = settled_records(cast, len(answers))
    assert sum(record.cost_nusd > 0 for record in records) == 1


def test_a_stream_that_breaks_is_not_kept(gateway: Any, cast: Any) -> None:
    text = say(tokens=20, cut_after=4, error_times=1, id=cast.code)
    broken = chat(gateway, cast, text, stream=True)
    assert "upstream_error" in broken.text

    whole = chat(gateway, cast, text, stream=True)

    assert "idempotent-replayed" not in whole.headers
    assert whole.text.endswith("data: [DONE]\n\n")


def test_wrong_parameters_are_refused_each_time(gateway: Any, cast: Any) -> None:
    for _ in range(2):
        refused = chat(gateway, cast, "hi", temperature=9)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "temperature"


def test_the_answer_to_a_large_body_is_there_when_the_credit_is_spent(
    gateway: Any, cast: Any
) -> None:
    text = say(text="one") + "word " * 60_000
    first = chat(gateway, cast, text, model="llama-4-scout")
    assert first.status_code == 200, first.text
    settled_record(cast)
    with tenant_schema(cast.code):
        all_of_it = Line(AccountCode.CREDIT, AccountCode.ADJUSTMENT, credit_account().balance_nusd)
        post_entry(reference="gone", kind=JournalEntry.Kind.GRANT, lines=[all_of_it])
        sync_gate(cast.code)

    assert chat(gateway, cast, text, key="k2", model="llama-4-scout").status_code == 429
    again = chat(gateway, cast, text, model="llama-4-scout")
    assert (again.status_code, again.content) == (200, first.content)
