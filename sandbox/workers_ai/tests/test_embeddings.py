"""Embeddings: forms of asking and answering, vectors, tokens."""

import math
from decimal import Decimal
from typing import Any

import pytest

from sandbox.workers_ai.tests.client import Caller, exact, script

BASE = "@cf/baai/bge-base-en-v1.5"
M3 = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
GEMMA = "@cf/google/embeddinggemma-300m"

DIMENSIONS = {
    "@cf/baai/bge-small-en-v1.5": 384,
    BASE: 768,
    "@cf/baai/bge-large-en-v1.5": 1024,
    M3: 1024,
    QWEN: 1024,
    GEMMA: 768,
    "@cf/pfnet/plamo-embedding-1b": 2048,
}


def near(one: list[Decimal], other: list[Decimal]) -> float:
    return float(sum(a * b for a, b in zip(one, other, strict=True)))


@pytest.mark.parametrize(("model", "dimensions"), DIMENSIONS.items())
def test_every_model_gives_unit_vectors_of_its_own_width(
    stand_in: Caller, model: str, dimensions: int
) -> None:
    result = stand_in.result(model, {"text": ["first", "second"]})

    assert result["shape"] == [2, dimensions]
    assert [len(vector) for vector in result["data"]] == [dimensions] * 2
    assert math.isclose(near(result["data"][0], result["data"][0]), 1, abs_tol=1e-4)
    assert result["system_fingerprint"] == "sandbox-scripted"


def test_same_text_gives_the_same_vector_and_shared_words_a_near_one(stand_in: Caller) -> None:
    texts = ["a red fox", "a red fox", "a red dog", "tax law"]

    one, same, nearer, other = stand_in.result(BASE, {"text": texts})["data"]

    assert one == same
    assert near(one, nearer) > 0.5 > abs(near(one, other))


def test_directive_is_not_part_of_the_text(stand_in: Caller) -> None:
    plain = stand_in.result(BASE, {"text": "a red fox"})
    scripted = stand_in.result(BASE, {"text": script("a red fox", delay_ms=1)})

    assert plain["data"] == scripted["data"]


@pytest.mark.parametrize(("body", "pooling"), [({}, "mean"), ({"pooling": "cls"}, "cls")])
def test_bge_tells_its_pooling(stand_in: Caller, body: dict[str, Any], pooling: str) -> None:
    assert stand_in.result(BASE, {"text": "x", **body})["pooling"] == pooling


def test_usage_and_neurons_are_exact(stand_in: Caller) -> None:
    response = stand_in.run(BASE, {"text": script("x", usage={"prompt_tokens": 1234})})

    # 1234 x 6,058 per million
    usage = exact(response)["result"]["usage"]
    expected = Decimal("7.475572")
    assert usage == {"prompt_tokens": 1234, "total_tokens": 1234, "neurons": expected}
    assert response.headers["cf-ai-neurons"] == "7.475572"


def test_m3_tells_its_usage_in_meta(stand_in: Caller) -> None:
    response = stand_in.run(M3, {"text": script("x", usage={"prompt_tokens": 20})})

    result = exact(response)["result"]
    assert "usage" not in result
    assert result["meta"] == {
        "cost_metric_name_1": "input_tokens",
        "cost_metric_value_1": 20,
        "neurons": Decimal("0.0215"),
    }
    assert response.headers["cf-ai-neurons"] == "0.0215"


def test_m3_scores_contexts_against_a_query_best_first(stand_in: Caller) -> None:
    contexts = [{"text": "tax law"}, {"text": "the red fox"}]

    result = stand_in.result(M3, {"query": "red fox", "contexts": contexts})

    assert [item["id"] for item in result["response"]] == [1, 0]
    assert result["response"][0]["score"] > result["response"][1]["score"]
    assert "data" not in result


def test_m3_embeds_contexts_alone(stand_in: Caller) -> None:
    result = stand_in.result(M3, {"contexts": [{"text": "a"}, {"text": "b"}]})

    assert result["shape"] == [2, 1024]
    assert len(result["response"]) == 2


def test_qwen_takes_queries_and_documents(stand_in: Caller) -> None:
    body = {"queries": "q", "documents": ["d", "q"], "instruction": "Find it"}

    result = stand_in.result(QWEN, body)

    assert result["shape"] == [3, 1024]
    assert result["data"][0] == result["data"][2]
    assert result["usage"]["neurons"] > 0


def test_embeddinggemma_tells_no_usage_and_has_no_price(stand_in: Caller) -> None:
    response = stand_in.run(GEMMA, {"text": "x"})

    assert response.json()["result"].keys() == {"shape", "data", "system_fingerprint"}
    assert "cf-ai-neurons" not in response.headers


def test_hundred_texts_are_taken_and_one_more_is_refused(stand_in: Caller) -> None:
    assert stand_in.run(BASE, {"text": ["x"] * 100}).status_code == 200

    refusal = stand_in.error(stand_in.run(BASE, {"text": ["x"] * 101}))

    assert refusal[:2] == (400, 5006)
    assert "maxItems at '/text' is 100, got 101" in refusal[2]


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (BASE, {}, "required properties at '/' are 'text'"),
        (BASE, {"text": 5}, "Type mismatch of '/text', 'string' not in 'integer'"),
        (BASE, {"text": ["x", None]}, "Type mismatch of '/text/1', 'string' not in 'null'"),
        (BASE, {"text": []}, "minItems at '/text' is 1, got 0"),
        (BASE, {"text": ""}, "minLength at '/text/0' is 1, got 0"),
        (BASE, {"text": "x", "pooling": "max"}, "enum max not in mean,cls at '/pooling'"),
        (M3, {"query": "x", "contexts": []}, "minItems at '/contexts' is 1, got 0"),
        (M3, {"contexts": [{}]}, "required properties at '/contexts/0' are 'text'"),
        (QWEN, {"documents": {}}, "Type mismatch of '/documents', 'string' not in 'object'"),
    ],
)
def test_body_outside_the_schema(
    stand_in: Caller, model: str, body: dict[str, Any], words: str
) -> None:
    refusal = stand_in.error(stand_in.run(model, body))

    assert refusal == (400, 5006, f"AiError: Bad input: Error: {words}")


def test_long_text_is_cut_by_bge_and_refused_by_others_unless_told_to_cut(
    stand_in: Caller,
) -> None:
    cut = stand_in.result(BASE, {"text": "word " * 2_000})["usage"]
    refused = stand_in.error(stand_in.run(QWEN, {"text": "word " * 9_000}))
    told = stand_in.run(M3, {"text": "word " * 61_000, "truncate_inputs": True})

    assert cut["prompt_tokens"] == 512
    assert refused[:2] == (413, 5021)
    assert told.json()["result"]["meta"]["cost_metric_value_1"] == 60_000


def test_openai_form_below_v1(stand_in: Caller) -> None:
    response = stand_in.post("v1/embeddings", {"model": M3, "input": ["first", "second"]})

    body = response.json()
    assert body["object"] == "list"
    assert body["model"] == M3
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert len(body["data"][1]["embedding"]) == 1024
    assert body["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert response.headers["cf-ai-neurons"] == "0.00645"


def test_batch_is_not_served_and_says_so(stand_in: Caller) -> None:
    response = stand_in.run(BASE, {"requests": [{"text": "x"}]})

    assert "does not serve batch requests yet" in stand_in.error(response)[2]
