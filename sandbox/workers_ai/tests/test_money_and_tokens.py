"""Token counts add up, and neurons are exact."""

import functools
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.workers_ai.catalogue import Catalogue
from sandbox.workers_ai.settings import DEFAULT_CATALOGUE
from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, frames, script
from sandbox.workers_ai.tokens import VOCABULARY_BY_ID_PART, Vocabulary, even_pieces

# Prompt tokens, of them cached, completion tokens; the neurons are worked out by hand from the
# prices per million tokens as Cloudflare publishes them.
NEURONS = [
    # 1000 x 26,668 + 500 x 204,805
    (NATIVE, 1000, 0, 500, "129.0705"),
    # 7 x 2,457 + 3 x 18,252
    ("@cf/meta/llama-3.2-1b-instruct", 7, 0, 3, "0.071955"),
    # 1 x 1,542 + 1 x 10,158
    ("@cf/ibm-granite/granite-4.0-h-micro", 1, 0, 1, "0.0117"),
    # 1000 x 5,500 + 500 x 36,400
    (OPENAI, 1000, 0, 500, "23.7"),
    # 1000 x 18,182 + 500 x 27,273
    ("@cf/openai/gpt-oss-20b", 1000, 0, 500, "31.8185"),
    # 600 x 86,364 + 400 x 14,545 + 500 x 363,636
    ("@cf/moonshotai/kimi-k2.6", 1000, 400, 500, "239.4544"),
    # 0 x 40,000 + 1,000,000 x 1,273 + 1 x 120,000
    ("@cf/deepseek-ai/deepseek-v4-flash-0731", 1_000_000, 1_000_000, 1, "1273.12"),
    # no cached rate: 1000 x 9,091 + 500 x 27,273
    ("@cf/google/gemma-4-26b-a4b-it", 1000, 400, 500, "22.7275"),
    # cached rate known from the catalogue only: 600 x 40,909 + 400 x 4,545.45 + 500 x 290,909
    ("@cf/qwen/qwen3.8-27b", 1000, 400, 500, "171.81808"),
    # large: 9,999,999 x 127,273 + 7 x 400,000
    ("@cf/zai-org/glm-5.3", 9_999_999, 0, 7, "1272732.672727"),
]


@pytest.mark.parametrize(("model", "prompt", "cached", "completion", "neurons"), NEURONS)
def test_neurons_are_exact(
    stand_in: Caller, model: str, prompt: int, cached: int, completion: int, neurons: str
) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    body = ask(script(text="x", usage=usage, cached_tokens=cached))

    response = stand_in.chat(model, body)
    stream = frames(stand_in.chat(model, {**body, "stream": True}))

    # As text: a float on the way would show.
    found = re.search(r'"neurons":([0-9.]+)', response.text)
    assert found is not None
    assert found[1] == response.headers["cf-ai-neurons"] == neurons
    assert response.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": cached}
    assert stream[-2]["usage"]["neurons"] == Decimal(neurons)


@pytest.mark.parametrize("model", ["@cf/swiss-ai/apertus-v1.5-8b", "@cf/google/gemma-2b-it-lora"])
def test_model_without_a_price_reports_no_neurons(stand_in: Caller, model: str) -> None:
    response = stand_in.run(model, ask("Hi"))

    assert "neurons" not in response.json()["result"]["usage"]
    assert "cf-ai-neurons" not in response.headers


def live_chat_models() -> list[str]:
    """Ids of the catalogue's chat models that are served."""
    catalogue = Catalogue.load(DEFAULT_CATALOGUE)
    ids = [model.id for model in catalogue.live() if model.kind == "chat"]
    assert len(ids) > 30
    return ids


@pytest.mark.parametrize("model", live_chat_models())
def test_every_chat_model_counts_alike_in_all_its_forms(stand_in: Caller, model: str) -> None:
    """Words in several scripts, so that some characters take several tokens."""
    stand_in.run(model, {"prompt": "agree"})
    text = "Lima, Привет, 日本語, नमस्ते 👩‍👩‍👧 [1, 2]"
    body = ask(script(text=text, reasoning="Думаю…"))

    plain = stand_in.run(model, body).json()["result"]
    native = frames(stand_in.run(model, {**body, "stream": True}))
    bare = stand_in.chat(model, body).json()
    chunks = frames(stand_in.chat(model, {**body, "stream": True}))

    counts = {key: plain["usage"][key] for key in ("prompt_tokens", "completion_tokens")}
    for other in (bare["usage"], native[-2]["usage"], chunks[-2]["usage"]):
        assert {key: other[key] for key in counts} == counts
    increments = [chunk["usage"] for chunk in chunks[:-2]]
    assert {key: sum(usage[key] for usage in increments) for key in counts} == counts
    content = "".join(
        choice["delta"].get("content") or "" for chunk in chunks[:-2] for choice in chunk["choices"]
    )
    assert content.endswith(text)
    is_native = "response" in plain
    assert is_native == ("response" in native[0])
    shown = plain["response"] if is_native else plain["choices"][0]["message"]["content"]
    assert shown == content


def test_each_chunk_of_plain_text_is_one_token(stand_in: Caller) -> None:
    body = ask(script(text="One two three four five six."), stream=True)

    chunks = frames(stand_in.chat(OPENAI, body))[1:-3]

    assert len(chunks) == 7
    assert {chunk["usage"]["completion_tokens"] for chunk in chunks} == {1}


def test_cap_in_the_middle_of_a_character_gives_a_broken_one(stand_in: Caller) -> None:
    whole = stand_in.chat(OPENAI, ask(script(text="👧"))).json()
    assert whole["usage"]["completion_tokens"] == 3

    cut = stand_in.chat(OPENAI, ask(script(text="👧"), max_tokens=2)).json()

    assert cut["choices"][0]["message"]["content"] == "\ufffd"
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 2


def prompt_tokens(stand_in: Caller, model: str, **body: object) -> int:
    tokens: int = stand_in.chat(model, body).json()["usage"]["prompt_tokens"]
    return tokens


def test_prompt_counts_messages_tools_and_images(stand_in: Caller) -> None:
    model = "@cf/google/gemma-4-26b-a4b-it"
    hello = {"role": "user", "content": "Hello"}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
    shown = {"role": "user", "content": [{"type": "text", "text": "Hello"}, picture]}
    tool = {"type": "function", "function": {"name": "clock"}}

    one = prompt_tokens(stand_in, model, messages=[hello])

    # "Hello" is one token; 4 around each message, 3 to open the answer.
    assert one == 1 + 4 + 3
    assert prompt_tokens(stand_in, model, messages=[hello, hello]) == one + 5
    assert prompt_tokens(stand_in, model, messages=[shown]) == one + 1024
    with_tool = prompt_tokens(stand_in, model, messages=[hello], tools=[tool])
    text = '{"type":"function","function":{"name":"clock"}}'
    assert with_tool == one + Vocabulary("gemma4").count(text)


def test_counts_differ_by_family(stand_in: Caller) -> None:
    text = "नमस्ते दुनिया"
    body = {"messages": [{"role": "user", "content": text}]}

    counts = {model: prompt_tokens(stand_in, model, **body) for model in (NATIVE, OPENAI)}

    assert counts[OPENAI] > counts[NATIVE]


def test_long_prompt_is_counted_off_the_loop(stand_in: Caller) -> None:
    usage = stand_in.result(
        "@cf/meta/llama-4-scout-17b-16e-instruct", ask(script(text="x") + " word" * 60_000)
    )["usage"]

    assert 60_000 <= usage["prompt_tokens"] <= 60_040


@pytest.mark.parametrize("name", sorted({name for _, name in VOCABULARY_BY_ID_PART}))
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_pieces_are_the_text_and_its_tokens(name: str, text: str) -> None:
    vocabulary = loaded(name)

    pieces = vocabulary.pieces(text)

    assert "".join(piece.text for piece in pieces) == text
    assert sum(piece.tokens for piece in pieces) == vocabulary.count(text)
    assert all(piece.text for piece in pieces)


@functools.cache
def loaded(name: str) -> Vocabulary:
    return Vocabulary(name)


@pytest.mark.parametrize(("text", "tokens"), [("abcdef", 4), ("ab", 5), ("a", 1), ("日本", 7)])
def test_even_pieces_keep_text_and_count(text: str, tokens: int) -> None:
    pieces = even_pieces(text, tokens)

    assert "".join(piece.text for piece in pieces) == text
    assert sum(piece.tokens for piece in pieces) == tokens
