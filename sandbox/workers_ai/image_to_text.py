"""Image-to-text models. The sandbox can't see: it says what the image file's header says."""

import base64
import binascii
import struct
from typing import Any

import orjson
from aiohttp import web

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.chat.prompt import TOKENS_PER_IMAGE
from sandbox.workers_ai.errors import BadInputError, InvalidBase64Error, NotServedYetError
from sandbox.workers_ai.exchange import Exchange, enveloped
from sandbox.workers_ai.faults import play_faults
from sandbox.workers_ai.script import ABSENT, Directive, find_directive

HEADER_FINGERPRINT = "sandbox-image-header"
MOONDREAM_TASKS = ("query", "caption", "point", "detect")


async def describe_image(exchange: Exchange, model: Model) -> web.StreamResponse:
    """LLaVA's and Moondream's forms. Directives: in `prompt` or `question`; `text` or `json`."""
    body = await exchange.json_body()
    asked = body.get("question") or body.get("prompt") or ""
    if not isinstance(asked, str):
        raise BadInputError("Type mismatch of '/prompt', 'string' not in 'object'")
    directive = exchange.services.failures.armed(find_directive(asked))
    if (response := await play_faults(exchange, directive)) is not None:
        return response
    if body.get("stream"):
        raise NotServedYetError("the sandbox does not stream this kind yet")
    if "image" not in body:
        raise BadInputError("required properties at '/' are 'image'")

    description = directive.text or describe(image_bytes(body["image"]))
    if "moondream" in model.id:
        return await answer_moondream(exchange, model, body, description, directive)
    result = {"description": description, "system_fingerprint": HEADER_FINGERPRINT}
    return exchange.json_response(enveloped(result))


async def answer_moondream(
    exchange: Exchange, model: Model, body: dict[str, Any], text: str, directive: Directive
) -> web.StreamResponse:
    task = body.get("task", "query")
    if task not in MOONDREAM_TASKS:
        raise BadInputError(f"enum {task} not in {','.join(MOONDREAM_TASKS)} at '/task'")
    needs = {"query": "question", "point": "target", "detect": "target"}.get(task)
    if needs is not None and needs not in body:
        raise BadInputError(f"required properties at '/' are '{needs}'")
    answers: dict[str, Any] = {
        "query": {"answer": text},
        "caption": {"caption": text},
        "point": {"points": []},
        "detect": {"objects": []},
    }
    answer = answers[task] if directive.json is ABSENT else directive.json

    vocabulary = await exchange.services.vocabularies.of_model(model.id)
    asked = str(body.get("question") or body.get("target") or "")
    input_tokens = TOKENS_PER_IMAGE + vocabulary.count(asked)
    output_tokens = vocabulary.count(orjson.dumps(answer).decode())
    neurons = model.neurons(
        prompt_tokens=input_tokens, cached_tokens=0, completion_tokens=output_tokens
    )
    metrics = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "prefill_time_ms": 0,
        "decode_time_ms": 0,
        "ttft_ms": 0,
    }
    result = {**answer, "finish_reason": "stop", "metrics": metrics}
    result["system_fingerprint"] = HEADER_FINGERPRINT
    return exchange.json_response(enveloped(result), neurons=neurons)


def image_bytes(image: Any) -> bytes:
    """The image, from a list of bytes or a data URI; empty for a URL, which is not fetched."""
    if isinstance(image, list):
        try:
            return bytes(image)
        except (TypeError, ValueError) as error:
            raise BadInputError("Type mismatch of '/image/0', 'number' not in 'string'") from error
    if not isinstance(image, str):
        raise BadInputError("Type mismatch of '/image', 'array' not in 'object'")
    if not image.startswith("data:"):
        return b""
    try:
        return base64.b64decode(image.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise InvalidBase64Error("Invalid base64 data") from error


def describe(image: bytes) -> str:
    """Format and size, as far as the header tells, and who says so."""
    size = ""
    kind = "An image"
    if image.startswith(b"\x89PNG\r\n\x1a\n") and len(image) >= 24:
        width, height = struct.unpack(">II", image[16:24])
        kind, size = "A PNG image", f" of {width} by {height} pixels"
    elif image.startswith((b"GIF87a", b"GIF89a")) and len(image) >= 10:
        width, height = struct.unpack("<HH", image[6:10])
        kind, size = "A GIF image", f" of {width} by {height} pixels"
    elif image.startswith(b"\xff\xd8\xff"):
        kind = "A JPEG image"
    elif image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        kind = "A WebP image"
    return f"{kind}{size}. (The sandbox has no eyes: this is all its header says.)"
