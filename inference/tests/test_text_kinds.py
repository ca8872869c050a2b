"""Embeddings, moderations, reranking, translation, classification, completions, native calls."""

import base64
import math
import struct
from decimal import Decimal
from typing import Any

import openai
import pytest
import requests

from inference.tests.settled import nusd, say, settled_record, settled_records

MARKUP = Decimal("1.2")


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)


def assert_charged_by_neurons(cast: Any, response: Any) -> Any:
    """The one settled record, charged what the client was told: Cloudflare's price and ours."""
    record = settled_record(cast)
    assert record.cost_nusd == nusd(response.headers["X-Request-Cost"])
    assert record.neurons is not None
    assert record.cost_nusd == math.ceil(record.neurons * 11_000 * MARKUP)
    assert record.provider_cost_nusd == math.ceil(record.neurons * 11_000)
    assert record.cost_nusd <= record.estimated_nusd
    assert (record.status, record.truth) == ("completed", "provider")
    return record


# --- embeddings ---------------------------------------------------------------------

EMBEDDERS = [
    ("bge-small-en", 384),
    ("bge-base-en", 768),
    ("bge-large-en", 1024),
    ("bge-m3", 1024),
    ("qwen-3-embedding", 1024),
]


@pytest.mark.parametrize(("model", "dimensions"), EMBEDDERS)
@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_vectors_come_in_order_and_are_charged(
    gateway: Any, cast: Any, model: str, dimensions: int
) -> None:
    body = {"model": model, "input": ["first", "second", "first"]}
    response = gateway.post(cast, "embeddings", body)

    answer = response.json()
    assert answer["object"] == "list"
    assert answer["model"] == model
    assert [row["index"] for row in answer["data"]] == [0, 1, 2]
    first, second, third = (row["embedding"] for row in answer["data"])
    assert len(first) == dimensions
    assert first == third
    assert first != second
    record = assert_charged_by_neurons(cast, response)
    assert (
        record.input_tokens == answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"]
    )


def test_the_openai_client_gets_base64_and_reads_the_same_floats(
    gateway: Any, cast: Any, client: openai.OpenAI
) -> None:
    floats = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": "hello"}).json()
    packed = gateway.post(
        cast, "embeddings", {"model": "bge-m3", "input": "hello", "encoding_format": "base64"}
    ).json()
    by_client = client.embeddings.create(model="bge-m3", input="hello")

    raw = base64.b64decode(packed["data"][0]["embedding"])
    unpacked = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    assert unpacked == pytest.approx(floats["data"][0]["embedding"], abs=1e-6)
    assert by_client.data[0].embedding == pytest.approx(unpacked, abs=1e-6)


def test_more_texts_than_upstream_takes_are_split_and_joined(gateway: Any, cast: Any) -> None:
    mark = f"split-{cast.code}"
    texts = [f"{mark} {number}" for number in range(250)]
    response = gateway.post(cast, "embeddings", {"model": "bge-small-en", "input": texts})

    assert [row["index"] for row in response.json()["data"]] == list(range(250))
    assert len(gateway.upstream_calls(mark)) == 3
    one = gateway.post(cast, "embeddings", {"model": "bge-small-en", "input": texts[217]})
    assert response.json()["data"][217]["embedding"] == one.json()["data"][0]["embedding"]
    costs = sorted(record.cost_nusd for record in settled_records(cast, 2))
    assert costs[1] == nusd(response.headers["X-Request-Cost"])


@pytest.mark.parametrize(
    ("model", "words", "window"), [("bge-small-en", 600, 512), ("qwen-3-embedding", 9_000, 8_192)]
)
def test_a_text_too_long_is_named_before_anything_of_its_batch_is_sent(
    gateway: Any, cast: Any, model: str, words: int, window: int
) -> None:
    mark = f"long-{cast.code}"
    texts = [f"{mark} {number}" for number in range(120)]
    texts[17] = f"{mark} {'word ' * words}"
    response = gateway.post(cast, "embeddings", {"model": model, "input": texts})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "input[17]"
    assert f"{window} tokens" in error["message"]
    assert "'input[17]'" in error["message"]
    assert gateway.upstream_calls(mark) == []

    alone = gateway.post(cast, "embeddings", {"model": model, "input": texts[17]})
    assert (alone.status_code, alone.json()["error"]["param"]) == (400, "input")
    assert gateway.upstream_calls(mark) == []
    texts[17] = f"{mark} {'word ' * (window * 9 // 10)}"
    fits = gateway.post(cast, "embeddings", {"model": model, "input": texts})
    assert fits.status_code == 200, fits.text


def test_token_arrays_are_read_as_text(gateway: Any, cast: Any) -> None:
    """LangChain sends cl100k's tokens: these are "hello world"."""
    tokens = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": [15339, 1917]})
    nested = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": [[15339, 1917]]})
    text = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": "hello world"})

    assert tokens.json()["data"] == text.json()["data"] == nested.json()["data"]


def test_dimensions_are_cut_where_the_model_can(gateway: Any, cast: Any) -> None:
    body = {"model": "qwen-3-embedding", "input": "hello", "dimensions": 256}
    vector = gateway.post(cast, "embeddings", body).json()["data"][0]["embedding"]

    assert len(vector) == 256
    assert math.sqrt(sum(value * value for value in vector)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": ""}, "input", "empty_string"),
        ({"input": []}, "input", "empty_array"),
        ({"input": ["a", ""]}, "input[1]", "empty_string"),
        ({"input": [-1]}, "input", "invalid_value"),
        ({"input": {}}, "input", "invalid_type"),
        ({}, "input", "missing_required_parameter"),
        ({"input": "a", "dimensions": 5}, "dimensions", "unsupported_parameter"),
        ({"input": "a", "nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"input": "a", "model": "llama-3.2-1b"}, "model", "model_not_supported"),
        ({"input": "a", "model": "embeddinggemma-300m"}, "model", "model_not_found"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
    ],
)
def test_a_bad_embedding_request_names_its_field(
    gateway: Any, cast: Any, body: dict[str, Any], param: str, code: str
) -> None:
    response = gateway.post(cast, "embeddings", {"model": "bge-m3", **body})

    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert response.status_code in (400, 404)


def test_an_embedding_beyond_the_credit_is_refused_and_not_made(gateway: Any) -> None:
    cast = gateway.cast(credit_nusd=1)
    response = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": f"poor {cast.code}"})

    assert response.status_code == 429
    assert response.json()["error"]["code"] == "insufficient_quota"
    assert gateway.upstream_calls(f"poor {cast.code}") == []


FAULTS = [
    ({"error": {"status": 500, "code": 3043, "message": "boom"}}, 502),
    ({"error": {"status": 400, "code": 5006, "message": "bad"}}, 400),
    ({"success_false": True}, 502),
    ({"html": True}, 504),
    ({"truncated_json": True}, 502),
    ({"reset": True}, 502),
    ({"json": {"data": "none"}}, 502),
    ({"json": {"data": [[0.5] * 5]}}, 502),
    ({"json": {"data": [[1e300] * 1024]}}, 502),
]


SAFE = say(text='{"safe": true, "categories": []}')
REFUSED = {"status": 400, "code": 5021, "message": "too long"}


def test_what_is_most_likely_refused_is_asked_first(gateway: Any, cast: Any) -> None:
    """Nobody makes us pay for a thousand texts by a last one that upstream refuses."""
    mark = f"mark-{cast.code}"
    texts = [f"{mark} {number} {SAFE}" for number in range(20)]
    texts.append(f"{mark} " + "long " * 50 + say(error=REFUSED))
    response = gateway.post(cast, "moderations", {"input": texts})

    assert response.status_code == 400, response.text
    assert len(gateway.upstream_calls(mark)) == 1
    assert settled_record(cast).cost_nusd == 0


@pytest.mark.billing_row("one of several pictures, batches or texts of a call failed")
def test_what_was_made_before_another_part_failed_is_in_our_books(gateway: Any, cast: Any) -> None:
    texts = [*("a rather long text " * 20 + SAFE for _ in range(3)), say(error=REFUSED)]
    response = gateway.post(cast, "moderations", {"input": texts})

    assert response.status_code == 400, response.text
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")
    assert record.provider_cost_nusd > 0


@pytest.mark.parametrize(("fault", "status"), FAULTS)
def test_a_failed_embedding_costs_nothing(
    gateway: Any, cast: Any, fault: dict[str, Any], status: int
) -> None:
    response = gateway.post(cast, "embeddings", {"model": "bge-m3", "input": say(**fault)})

    assert response.status_code == status, response.text
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")


# --- moderations --------------------------------------------------------------------


def test_a_moderation_has_openais_shape(client: openai.OpenAI) -> None:
    answer = client.moderations.create(
        input=[
            say(json={"safe": True, "categories": []}),
            say(json={"safe": False, "categories": ["S11", "S1"]}),
        ]
    )

    harmless, harmful = answer.results
    assert not harmless.flagged
    assert not any(harmless.categories.model_dump().values())
    assert harmful.flagged
    assert harmful.categories.self_harm
    assert harmful.categories.violence
    assert not harmful.categories.sexual
    assert harmful.category_scores.violence > 0.5 > harmful.category_scores.sexual


def test_a_verdict_that_is_none_is_upstreams_fault(gateway: Any, cast: Any) -> None:
    response = gateway.post(cast, "moderations", {"input": say(json={"perhaps": 1})})

    assert response.status_code == 502
    assert settled_record(cast).cost_nusd == 0


def test_json_that_failed_upstream_is_not_the_callers_fault(gateway: Any, cast: Any) -> None:
    """The client asked for no JSON, and cannot mend it."""
    error = {"status": 400, "code": 5024, "message": "JSON Mode couldn't be met"}
    response = gateway.post(cast, "moderations", {"input": say(error=error)})

    assert response.status_code == 502, response.text
    assert response.json()["error"]["param"] is None
    assert "response_format" not in response.text
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")


# --- reranking ----------------------------------------------------------------------


@pytest.mark.parametrize("model", ["bge-reranker", "bge-m3"])
@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_documents_come_in_order_of_relevance(gateway: Any, cast: Any, model: str) -> None:
    body = {
        "model": model,
        "query": "cheap flights",
        "documents": ["tax law", {"text": "cheap flights to Lima", "id": 7}, "airline fares"],
        "top_n": 2,
        "return_documents": True,
    }
    response = gateway.post(cast, "rerank", body)

    results = response.json()["results"]
    assert len(results) == 2
    assert results[0]["index"] == 1
    assert results[0]["document"] == {"text": "cheap flights to Lima", "id": 7}
    assert results[0]["relevance_score"] >= results[1]["relevance_score"]
    assert_charged_by_neurons(cast, response)


@pytest.mark.parametrize(
    "extra",
    [
        {"max_tokens_per_doc": 4096, "priority": 1},
        {"return_documents": True, "truncation": True},
        {"rank_fields": ["text"], "max_chunks_per_doc": 10},
        {"rank_fields": ["title", "body"]},
    ],
)
def test_the_bodies_of_clients_for_reranking_are_taken(
    gateway: Any, cast: Any, extra: dict[str, Any]
) -> None:
    documents = [
        {"text": word, "title": word, "body": "of fare"} for word in ("tax law", "cheap flights")
    ]
    body = {"model": "bge-reranker", "query": "cheap flights", "documents": documents, **extra}
    results = gateway.post(cast, "rerank", body).json()["results"]
    assert [result["index"] for result in results] == [1, 0]
    if "return_documents" in extra:
        assert results[0]["document"] == documents[1]


@pytest.mark.parametrize(
    ("extra", "param"),
    [({}, "documents[1].text"), ({"rank_fields": ["title", "text"]}, "rank_fields")],
)
def test_a_document_without_what_is_ranked_is_refused(
    gateway: Any, cast: Any, extra: dict[str, Any], param: str
) -> None:
    documents = [{"title": "a", "text": "b"}, {"title": "c"}]
    body = {"model": "bge-reranker", "query": "q", "documents": documents, **extra}
    response = gateway.post(cast, "rerank", body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert error["code"] == "missing_required_parameter"


def test_coheres_second_version_is_the_same(gateway: Any, cast: Any) -> None:
    body = {"model": "bge-reranker", "query": "q", "documents": ["a", "b"], "top_n": 1}
    response = requests.post(f"{gateway.url}/v2/rerank", json=body, headers=cast.auth, timeout=30)
    assert len(response.json()["results"]) == 1


def test_many_documents_are_ranked_together(gateway: Any, cast: Any) -> None:
    documents = [f"number {n}" for n in range(150)]
    documents[140] = "the wanted words"
    body = {"model": "bge-reranker", "query": "the wanted words", "documents": documents}
    results = gateway.post(cast, "rerank", body).json()["results"]

    assert len(results) == 150
    assert results[0]["index"] == 140
    assert sorted(result["index"] for result in results) == list(range(150))


# --- translation, classification ----------------------------------------------------


@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_texts_are_translated_in_order(gateway: Any, cast: Any) -> None:
    body = {
        "model": "m2m100",
        "input": [say(text="Bonjour"), say(text="Merci")],
        "source_language": "en",
        "target_language": "fr",
    }
    response = gateway.post(cast, "translations", body)

    assert [row["text"] for row in response.json()["data"]] == ["Bonjour", "Merci"]
    assert_charged_by_neurons(cast, response)


def test_a_language_is_named_as_the_model_names_it(gateway: Any, cast: Any) -> None:
    mark = f"namaste-{cast.code}"
    body = {"model": "indictrans2", "input": mark, "target_language": "hi"}
    assert gateway.post(cast, "translations", body).status_code == 200

    (call,) = gateway.upstream_calls(mark)
    assert call["body"]["target_language"] == "hin_Deva"


@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_labels_come_with_the_likeliest_first(gateway: Any, cast: Any) -> None:
    response = gateway.post(
        cast, "classifications", {"model": "distilbert-sst2", "input": "great, wonderful"}
    )

    (row,) = response.json()["data"]
    scores = [result["score"] for result in row["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {result["label"] for result in row["results"]} == {"POSITIVE", "NEGATIVE"}
    assert_charged_by_neurons(cast, response)


# --- completions --------------------------------------------------------------------

BOTH_FORMS = pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])


@BOTH_FORMS
def test_a_text_completion(gateway: Any, cast: Any, client: openai.OpenAI, model: str) -> None:
    completion = client.completions.create(model=model, prompt=say(text="Lima."))

    assert completion.object == "text_completion"
    assert completion.id.startswith("cmpl-")
    assert completion.model == model
    (choice,) = completion.choices
    assert (choice.index, choice.text, choice.finish_reason) == (0, "Lima.", "stop")
    assert settled_record(cast).cost_nusd > 0


@BOTH_FORMS
def test_several_prompts_and_choices_keep_their_order(client: openai.OpenAI, model: str) -> None:
    completion = client.completions.create(
        model=model, prompt=[say(text="one"), say(text="two")], n=2
    )
    assert [(c.index, c.text) for c in completion.choices] == [
        (0, "one"),
        (1, "one"),
        (2, "two"),
        (3, "two"),
    ]


@BOTH_FORMS
def test_a_streamed_text_completion(client: openai.OpenAI, model: str) -> None:
    chunks = list(
        client.completions.create(
            model=model,
            prompt=say(text="one two three"),
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=50,
        )
    )
    *pieces, last = chunks
    assert "".join(piece.choices[0].text for piece in pieces) == "one two three"
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens >= 3
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_prompt_is_echoed_where_that_is_asked(gateway: Any, cast: Any) -> None:
    prompt = say(text=" Paris")
    body = {"model": "llama-3.2-1b", "prompt": prompt, "echo": True, "max_tokens": 5}
    answer = gateway.post(cast, "completions", body).json()
    assert answer["choices"][0]["text"] == f"{prompt} Paris"


def test_a_completion_is_cut_at_16_tokens_unless_told_otherwise(gateway: Any, cast: Any) -> None:
    body = {"model": "llama-3.2-1b", "prompt": say(tokens=100)}
    answer = gateway.post(cast, "completions", body).json()
    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["finish_reason"] == "length"


# --- native calls -------------------------------------------------------------------


def test_a_native_chat_answers_in_its_own_form(gateway: Any, cast: Any) -> None:
    body = {"messages": [{"role": "user", "content": say(text="Lima.")}]}
    response = gateway.post(cast, "run/llama-3.3-70b-fast", body)

    answer = response.json()
    assert answer["success"] is True
    assert answer["result"]["response"] == "Lima."
    assert "neurons" not in response.text
    assert_charged_by_neurons(cast, response)


def test_a_native_call_has_a_cap_and_cloudflares_id_names_the_model(
    gateway: Any, cast: Any
) -> None:
    mark = f"cap-{cast.code}"
    body = {"prompt": mark}
    name = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    assert gateway.post(cast, f"run/{name}", body).status_code == 200

    (call,) = gateway.upstream_calls(mark)
    assert call["body"]["max_tokens"] == 4096


def test_a_native_stream_is_relayed_and_charged(gateway: Any, cast: Any) -> None:
    body = {
        "messages": [{"role": "user", "content": say(text="one two three")}],
        "stream": True,
    }
    response = gateway.post(cast, "run/llama-3.3-70b-fast", body)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    assert '"response"' in response.text
    for private in ("neurons", '"p":'):
        assert private not in response.text
    record = settled_record(cast)
    assert (record.status, record.truth) == ("completed", "provider")
    assert record.cost_nusd > 0


def test_a_native_stream_that_breaks_is_charged_for_what_was_delivered(
    gateway: Any, cast: Any
) -> None:
    body = {
        "messages": [{"role": "user", "content": say(tokens=20, cut_after=5)}],
        "stream": True,
    }
    response = gateway.post(cast, "run/llama-3.3-70b-fast", body)

    assert "[DONE]" not in response.text
    record = settled_record(cast)
    assert record.status == "upstream_broke"
    assert 0 < record.output_tokens <= 5


def test_a_decision_model_is_reached_natively(gateway: Any, cast: Any) -> None:
    body = {
        "state": "Customer asks for a refund after 40 days.",
        "questions": {
            "refund": {
                "type": "choice",
                "instructions": "Pick the action",
                "criteria": ["approve", "refuse"],
            }
        },
    }
    response = gateway.post(cast, "run/clef-flash", body)

    assert response.status_code == 200, response.text
    assert "refund" in response.json()["result"]["answers"]
    assert settled_record(cast).cost_nusd > 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "x", "max_tokens": "many"}, "max_tokens"),
        ({"prompt": "x", "n": 1000}, "n"),
        ({"prompt": "x", "options": {"background": True}}, "options"),
        ({"requests": []}, "requests"),
    ],
)
def test_a_native_call_that_would_escape_its_price_is_refused(
    gateway: Any, cast: Any, body: dict[str, Any], param: str
) -> None:
    response = gateway.post(cast, "run/qwen-3-30b", body)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
