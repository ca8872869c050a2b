"""Embeddings: seven models, in four forms of asking and three of answering."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sandbox.workers_ai.errors import BadInputError, ContextWindowError
from sandbox.workers_ai.exchange import SCRIPTED_FINGERPRINT, json_number
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import Call, Outcome
from sandbox.workers_ai.script import without_directive
from sandbox.workers_ai.text.vectors import cosine, hashed_vector, widened
from sandbox.workers_ai.tokens import LONG_TEXT_CHARS

MAX_TEXTS = 100
POOLINGS = ("mean", "cls")

# A text's opening and end.
TOKENS_PER_TEXT = 2

# The catalogue does not tell plamo's.
DEFAULT_DIMENSIONS = 2_048


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What to embed. `query` is set where the contexts are to be scored against it."""

    values: list[str]
    query: str | None = None
    are_contexts: bool = False
    pooling: str | None = None
    is_cut: bool = False


async def embed(call: Call) -> Outcome:
    texts = texts_of(call)
    wanted = texts.values if texts.query is None else [texts.query, *texts.values]
    tokens = call.input_tokens(await count(call, wanted, is_cut=texts.is_cut))
    neurons = call.neurons({"input_tokens": tokens})
    vectors, source = await vectors_of(call, wanted)

    result: dict[str, Any]
    if texts.query is not None:
        scores = [cosine(vectors[0], vector) for vector in vectors[1:]]
        result = {"response": ranked(scores)}
    else:
        key = "response" if texts.are_contexts else "data"
        result = {"shape": [len(vectors), len(vectors[0])], key: vectors}
        if texts.pooling is not None:
            result["pooling"] = texts.pooling
    if not call.directive.no_usage:
        result |= usage_of(call, tokens, neurons)
    return Outcome(source=source, result=result, neurons=neurons)


async def embed_openai(call: Call) -> Outcome:
    """/ai/v1/embeddings: `input`, in OpenAI's form."""
    fields = Fields(call.body.fields)
    values = fields.texts("input", max_items=MAX_TEXTS)
    fields.refuse_wrong()
    tokens = call.input_tokens(await count(call, values, is_cut=False))
    vectors, source = await vectors_of(call, values)
    result: dict[str, Any] = {
        "object": "list",
        "model": call.model.id,
        "data": [
            {"object": "embedding", "index": i, "embedding": vector}
            for i, vector in enumerate(vectors)
        ],
    }
    if not call.directive.no_usage:
        result["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    neurons = call.neurons({"input_tokens": tokens})
    return Outcome(source=source, result=result, neurons=neurons, is_enveloped=False)


def texts_of(call: Call) -> Texts:
    """What the body asks for. Raises BadInputError."""
    fields = Fields(call.body.fields)
    takes_contexts = "bge-m3" in call.model.id
    takes_queries = "qwen3-embedding" in call.model.id
    if takes_contexts and fields.has("contexts"):
        texts = Texts(
            values=fields.contexts(),
            query=fields.text("query") if fields.has("query") else None,
            are_contexts=True,
            pooling=None if fields.has("query") else "cls",
            is_cut=fields.flag("truncate_inputs"),
        )
    elif takes_queries and (fields.has("queries") or fields.has("documents")):
        values = [
            text
            for key in ("queries", "documents")
            if fields.has(key)
            for text in fields.texts(key, max_items=MAX_TEXTS)
        ]
        fields.text("instruction", default="", may_be_empty=True)
        texts = Texts(values=values)
    else:
        fields.require("text")
        values = fields.texts("text", max_items=MAX_TEXTS) if "text" in fields.raw else []
        texts = Texts(
            values=values,
            pooling=pooling_of(call, fields),
            is_cut=takes_contexts and fields.flag("truncate_inputs"),
        )
    fields.refuse_wrong()
    if len(texts.values) > MAX_TEXTS:
        raise BadInputError(f"maxItems at '/contexts' is {MAX_TEXTS}, got {len(texts.values)}")
    return texts


def pooling_of(call: Call, fields: Fields) -> str | None:
    """The BGE models say how they pooled."""
    if "bge-m3" in call.model.id:
        return "cls"
    if "/bge-" in call.model.id:
        return fields.choice("pooling", POOLINGS, default="mean")
    return None


async def count(call: Call, texts: list[str], *, is_cut: bool) -> int:
    """Tokens of all texts. A text too long is cut by models that do so, and else refused."""
    vocabulary = await call.vocabulary()
    limit = call.model.max_input_tokens
    window = call.model.context_window

    def counted() -> int:
        total = 0
        for text in texts:
            tokens = vocabulary.count(text) + TOKENS_PER_TEXT
            if limit is not None:
                tokens = min(tokens, limit)
            elif window is not None and tokens > window:
                if not is_cut:
                    raise ContextWindowError(tokens=tokens, context_window=window)
                tokens = window
            total += tokens
        return total

    if sum(map(len, texts)) < LONG_TEXT_CHARS:
        return counted()
    return await asyncio.to_thread(counted)


async def vectors_of(call: Call, texts: list[str]) -> tuple[list[list[float]], str]:
    """A unit vector for each text, without the directives, and who made them."""
    dimensions = call.model.embedding_dimensions or DEFAULT_DIMENSIONS
    plain = [without_directive(text) for text in texts]
    if call.is_scripted_only:
        made = await asyncio.to_thread(lambda: [hashed_vector(text, dimensions) for text in plain])
        return made, SCRIPTED_FINGERPRINT
    embedder = call.exchange.services.small_models.embedder
    vectors = await embedder.embed(plain)
    return [widened(vector, dimensions) for vector in vectors], embedder.fingerprint


def ranked(scores: list[float]) -> list[dict[str, Any]]:
    """Best first; `id` is the place in what was asked."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [{"id": i, "score": round(scores[i], 6)} for i in order]


def usage_of(call: Call, tokens: int, neurons: Any) -> dict[str, Any]:
    """Each model's own way to tell what was used; embeddinggemma tells nothing."""
    if "embeddinggemma" in call.model.id:
        return {}
    told = {} if neurons is None else {"neurons": json_number(neurons)}
    if "bge-m3" in call.model.id:
        metric = {"cost_metric_name_1": "input_tokens", "cost_metric_value_1": tokens}
        return {"meta": {**metric, **told}}
    others = {
        key: value
        for key, value in call.directive.usage.items()
        if key not in ("prompt_tokens", "neurons")
    }
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, **told, **others}
    return {"usage": usage}
