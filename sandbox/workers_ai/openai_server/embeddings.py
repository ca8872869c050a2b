"""/v1/embeddings"""

import base64
import struct
from typing import Any

from aiohttp import web

from sandbox.workers_ai.bodies import Body
from sandbox.workers_ai.errors import BadInputError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.faults import play_faults
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import Call, Outcome, overridden, send
from sandbox.workers_ai.openai_server.models import DIMENSIONS, any_model
from sandbox.workers_ai.text.embeddings import vectors_of

MAX_INPUTS = 2_048
MAX_DIMENSIONS = 4_096


async def embed(exchange: Exchange, body: dict[str, Any]) -> web.StreamResponse:
    fields = Fields(body)
    dimensions = fields.whole("dimensions", 1, MAX_DIMENSIONS, default=DIMENSIONS)
    encoding = fields.choice("encoding_format", ("float", "base64"), default="float")
    model = any_model(body["model"], dimensions=dimensions)
    content = Body(fields=body)
    directive = exchange.armed(content.directive(), model)
    if (response := await play_faults(exchange, directive)) is not None:
        return response
    fields.refuse_wrong()
    texts, tokens_given = inputs(body.get("input"))

    call = Call(exchange=exchange, model=model, body=content, directive=directive)
    counted = tokens_given + await call.count_tokens(texts if not tokens_given else [])
    tokens = call.input_tokens(counted)
    vectors, source = await vectors_of(call, texts)
    data = [
        {"object": "embedding", "index": i, "embedding": packed(vector, encoding)}
        for i, vector in enumerate(vectors)
    ]
    result: dict[str, Any] = {"object": "list", "data": data, "model": model.id}
    if not directive.no_usage:
        result["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    outcome = Outcome(source=source, result=result, is_enveloped=False)
    return await send(exchange, overridden(outcome, directive), directive)


def inputs(given: Any) -> tuple[list[str], int]:
    """The texts, and how many tokens they are where they came as tokens."""
    values = [given] if isinstance(given, str) else given
    if isinstance(values, list) and values and all(isinstance(item, int) for item in values):
        values = [values]
    if not isinstance(values, list) or not values or len(values) > MAX_INPUTS:
        raise BadInputError(f"input must be a string or a list of 1 to {MAX_INPUTS}")
    if all(isinstance(item, str) and item for item in values):
        return values, 0
    if all(isinstance(item, list) and item for item in values):
        return [" ".join(map(str, item)) for item in values], sum(map(len, values))
    raise BadInputError("input must hold texts, none of them empty, or lists of tokens")


def packed(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
