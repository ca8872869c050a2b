"""Rerank, classification, translation, decisions."""

import base64
from decimal import Decimal
from typing import Any

import pytest

from sandbox.workers_ai.tests.client import Caller, script

RERANK = "@cf/baai/bge-reranker-base"
SENTIMENT = "@cf/huggingface/distilbert-sst-2-int8"
M2M = "@cf/meta/m2m100-1.2b"
INDIC = "@cf/ai4bharat/indictrans2-en-indic-1B"
CLEF = "@cf/cloudflare/clef-flash"
OMNI = "@cf/cloudflare/clef-omni"

QUESTION = {"type": "choice", "instructions": "Pick", "criteria": ["approve", "refuse"]}


def test_contexts_are_ranked_by_the_words_they_share_with_the_query(stand_in: Caller) -> None:
    contexts = [{"text": "tax law"}, {"text": "cheap airline"}, {"text": "cheap flights today"}]
    body = {"query": "cheap flights", "contexts": contexts}

    everything = stand_in.result(RERANK, body)["response"]
    best = stand_in.result(RERANK, {**body, "top_k": 1})["response"]

    assert [item["id"] for item in everything] == [2, 1, 0]
    assert best == everything[:1]


def test_rerank_is_paid_by_the_tokens_of_its_pairs(stand_in: Caller) -> None:
    body = {"query": script("x", usage={"prompt_tokens": 1000}), "contexts": [{"text": "y"}]}

    response = stand_in.run(RERANK, body)

    assert response.headers["cf-ai-neurons"] == "0.283"
    assert "usage" not in response.json()["result"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"contexts": [{"text": "x"}]}, "required properties at '/' are 'query'"),
        ({"query": "x"}, "required properties at '/' are 'contexts'"),
        ({"query": "x", "contexts": ["y"]}, "Type mismatch of '/contexts/0'"),
        ({"query": "x", "contexts": [{"text": "y"}], "top_k": 0}, "'/top_k' must be >= 1"),
    ],
)
def test_rerank_body_outside_the_schema(stand_in: Caller, body: dict[str, Any], words: str) -> None:
    status, code, text = stand_in.error(stand_in.run(RERANK, body))

    assert (status, code) == (400, 5006)
    assert words in text


@pytest.mark.parametrize(
    ("text", "mood"),
    [("Great!", 0.6), ("awful, horrible", 0.3), (script(text="NEGATIVE"), 0.0002)],
)
def test_sentiment_is_a_list_of_both_labels(stand_in: Caller, text: str, mood: float) -> None:
    negative, positive = stand_in.run(SENTIMENT, {"text": text}).json()["result"]

    assert (negative["label"], positive["label"]) == ("NEGATIVE", "POSITIVE")
    assert positive["score"] == pytest.approx(mood)
    assert negative["score"] + positive["score"] == pytest.approx(1)


def test_translation_says_that_nobody_has_translated(stand_in: Caller) -> None:
    result = stand_in.result(M2M, {"text": "Good morning", "target_lang": "fr"})
    scripted = stand_in.result(M2M, {"text": script(text="Bonjour"), "target_lang": "fr"})

    text = result["translated_text"]
    assert text == "[the sandbox does not translate from en to fr] Good morning"
    assert scripted["translated_text"] == "Bonjour"


def test_translation_is_paid_for_both_ways(stand_in: Caller) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10}

    response = stand_in.run(M2M, {"text": script(usage=usage), "target_lang": "fr"})

    # 110 x 31,050 per million
    assert response.headers["cf-ai-neurons"] == "3.4155"


def test_indic_translation_takes_a_list_and_knows_its_languages(stand_in: Caller) -> None:
    body = {"text": ["Hello", "Good night"], "target_language": "tam_Taml"}

    translations = stand_in.result(INDIC, body)["translations"]
    refused = stand_in.error(stand_in.run(INDIC, {**body, "target_language": "fr"}))

    assert len(translations) == 2
    assert translations[1].endswith("Good night")
    assert refused[:2] == (400, 5006)


def test_translation_needs_a_text_and_a_language(stand_in: Caller) -> None:
    _, code, text = stand_in.error(stand_in.run(M2M, {}))

    assert code == 5006
    assert "'text'" in text
    assert "'target_lang'" in text


def test_decision_answers_each_question_and_is_paid_by_input(stand_in: Caller) -> None:
    questions = {
        "refund": QUESTION,
        "angry": {"type": "noul", "instructions": "Is the customer angry?"},
        "risk": {"type": "score", "instructions": "How risky?"},
    }
    state = script("Wants a refund.", usage={"input_tokens": 1000})

    response = stand_in.run(CLEF, {"model": "clef-flash", "state": state, "questions": questions})

    result = response.json()["result"]
    assert result["model"] == "clef-flash"
    assert result["answers"].keys() == questions.keys()
    assert result["answers"]["refund"]["probabilities"] == {"approve": 0.5, "refuse": 0.5}
    assert result["usage"]["input_tokens"] == 1000
    assert Decimal(response.headers["cf-ai-neurons"]) == Decimal("8.1818182")


def test_json_of_a_directive_is_the_whole_result(stand_in: Caller) -> None:
    wanted = {"model": "clef", "answers": {"refund": {"value": "refuse"}}}
    body = {"state": script(json=wanted), "questions": {"refund": QUESTION}}

    assert stand_in.run(CLEF, body).json()["result"] == wanted


def test_decision_beyond_its_window_or_schema_is_refused(stand_in: Caller) -> None:
    too_long = {"state": "word " * 70_000, "questions": {"q": QUESTION}}
    no_questions = {"state": "x", "questions": {}}
    odd_type = {"state": "x", "questions": {"q": {"type": "yes"}}}
    sound = {"state": "x", "questions": {"q": QUESTION}, "audio": ["aGk="]}
    broken = {"state": "x", "questions": {"q": QUESTION}, "images": ["?"]}

    assert stand_in.error(stand_in.run(CLEF, too_long))[:2] == (413, 5021)
    assert stand_in.error(stand_in.run(CLEF, no_questions))[:2] == (400, 5006)
    assert stand_in.error(stand_in.run(CLEF, odd_type))[:2] == (400, 5006)
    assert stand_in.error(stand_in.run(CLEF, sound))[:2] == (400, 5006)
    assert stand_in.run(OMNI, sound).status_code == 200
    assert stand_in.error(stand_in.run(CLEF, broken))[:2] == (400, 5004)


def test_media_that_are_too_many_or_too_large_are_refused(stand_in: Caller) -> None:
    large = base64.b64encode(bytes(4 * 2**20 + 1)).decode()
    many = {"state": "x", "questions": {"q": QUESTION}, "images": ["aGk="] * 5}
    big = {"state": "x", "questions": {"q": QUESTION}, "images": [large]}

    assert stand_in.error(stand_in.run(CLEF, many))[:2] == (400, 5006)
    assert stand_in.error(stand_in.run(CLEF, big))[:2] == (413, 3006)
