"""Image-to-text models. The sandbox can't see: it says what the image file's header says."""

from typing import Any

import orjson

from sandbox.workers_ai.chat.prompt import TOKENS_PER_IMAGE
from sandbox.workers_ai.errors import BadInputError, NotServedYetError
from sandbox.workers_ai.exchange import SCRIPTED_FINGERPRINT
from sandbox.workers_ai.fields import decode_base64
from sandbox.workers_ai.images.classification import HEADER_FINGERPRINT
from sandbox.workers_ai.images.headers import read_header
from sandbox.workers_ai.one_piece import Call, Outcome
from sandbox.workers_ai.script import ABSENT

MOONDREAM_TASKS = ("query", "caption", "point", "detect")

FORM_NAMES = {"png": "A PNG", "gif": "A GIF", "jpeg": "A JPEG", "webp": "A WebP"}


async def describe_image(call: Call) -> Outcome:
    """LLaVA's and Moondream's forms."""
    body = call.body.fields
    if call.body.is_raw or call.body.is_form:
        raise BadInputError("the body is not valid JSON")
    asked = body.get("question") or body.get("prompt") or ""
    if not isinstance(asked, str):
        raise BadInputError("Type mismatch of '/prompt', 'string' not in 'object'")
    if body.get("stream"):
        raise NotServedYetError("the sandbox does not stream this kind yet")
    if "image" not in body:
        raise BadInputError("required properties at '/' are 'image'")

    scripted = call.directive.scripted_text
    description = scripted if scripted is not None else describe(image_bytes(body["image"]))
    source = HEADER_FINGERPRINT if scripted is None else SCRIPTED_FINGERPRINT
    if "moondream" in call.model.id:
        return await answer_moondream(call, description, source)
    return Outcome(source=source, result={"description": description}, neurons=call.neurons({}))


async def answer_moondream(call: Call, text: str, source: str) -> Outcome:
    body = call.body.fields
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
    answer = answers[task]
    if call.directive.json is not ABSENT:
        answer = call.directive.json

    asked = str(body.get("question") or body.get("target") or "")
    counted = TOKENS_PER_IMAGE + await call.count_tokens([asked])
    written = await call.count_tokens([orjson.dumps(answer).decode()])
    tokens = {
        "input_tokens": call.input_tokens(counted, key="input_tokens"),
        "output_tokens": call.input_tokens(written, key="output_tokens"),
    }
    times = {"prefill_time_ms": 0, "decode_time_ms": 0, "ttft_ms": 0}
    result = {**answer, "finish_reason": "stop"}
    if not call.directive.no_usage:
        result["metrics"] = {**tokens, **times}
    return Outcome(source=source, result=result, neurons=call.neurons(dict(tokens)), is_final=True)


def image_bytes(image: Any) -> bytes:
    """The image, from a list of bytes or a data URI; empty for a URL, which is not fetched."""
    if isinstance(image, list):
        try:
            return bytes(image)
        except (TypeError, ValueError) as error:
            raise BadInputError("Type mismatch of '/image/0', 'number' not in 'string'") from error
    if not isinstance(image, str):
        raise BadInputError("Type mismatch of '/image', 'array' not in 'object'")
    return decode_base64(image) if image.startswith("data:") else b""


def describe(image: bytes) -> str:
    """Format and size, as far as the header tells, and who says so."""
    header = read_header(image)
    kind = f"{FORM_NAMES[header.form]} image" if header else "An image"
    size = f" of {header.size[0]} by {header.size[1]} pixels" if header and header.size else ""
    return f"{kind}{size}. (The sandbox has no eyes: this is all its header says.)"
