"""Decision models: typed questions about a state, answered by plain rules.

The forms of `criteria` and of `answers` are not published: those here are our reading.
"""

import base64
import binascii
from decimal import Decimal
from typing import Any

import orjson

from sandbox.workers_ai.chat.prompt import TOKENS_PER_IMAGE
from sandbox.workers_ai.errors import (
    BadInputError,
    ContextWindowError,
    InvalidBase64Error,
    RequestTooLargeError,
)
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import RULES_FINGERPRINT, Call, Outcome

QUESTION_TYPES = ("noul", "choice", "score")
MAX_QUESTIONS = 64
MEBIBYTE = 2**20

# How many of each, and how large one may be. Sound and pictures that move: clef-omni only.
MEDIA_LIMITS = {"images": (4, 4), "audio": (4, 8), "videos": (2, 16)}


async def decide(call: Call) -> Outcome:
    fields = Fields(call.body.fields)
    state = call.body.fields.get("state")
    if not isinstance(state, dict | list):
        state = fields.text("state")
    questions = questions_of(fields)
    fields.refuse_wrong()
    media = check_media(call)

    texts = [state if isinstance(state, str) else orjson.dumps(state).decode()]
    texts.append(orjson.dumps(questions).decode())
    counted = await call.count_tokens(texts) + TOKENS_PER_IMAGE * media
    tokens = call.input_tokens(counted, key="input_tokens")
    window = call.model.context_window
    if window is not None and counted > window:
        raise ContextWindowError(tokens=counted, context_window=window)

    answers = {name: answer_of(question) for name, question in questions.items()}
    usage = {
        "input_tokens": tokens,
        "output_tokens": call.input_tokens(len(answers), key="output_tokens"),
    }
    result: dict[str, Any] = {"model": call.model.id.rpartition("/")[2], "answers": answers}
    if not call.directive.no_usage:
        result["usage"] = usage
    neurons = call.neurons({"input_tokens": Decimal(tokens)})
    return Outcome(source=RULES_FINGERPRINT, result=result, neurons=neurons)


def questions_of(fields: Fields) -> dict[str, dict[str, Any]]:
    given = fields.raw.get("questions")
    if "questions" not in fields.raw:
        fields.require("questions")
        return {}
    if not isinstance(given, dict):
        fields.violations.wrong_type("/questions", "object", given)
        return {}
    if not 1 <= len(given) <= MAX_QUESTIONS:
        fields.violations.found.append(
            f"'/questions' must have 1 to {MAX_QUESTIONS} properties, got {len(given)}"
        )
    for name, question in given.items():
        path = f"/questions/{name}"
        if not isinstance(question, dict):
            fields.violations.wrong_type(path, "object", question)
        elif question.get("type") not in QUESTION_TYPES:
            fields.violations.found.append(
                f"enum {question.get('type')} not in {','.join(QUESTION_TYPES)} at '{path}/type'"
            )
        elif question["type"] == "choice" and not is_choice(question.get("criteria")):
            fields.violations.found.append(f"minItems at '{path}/criteria' is 1, got 0")
    return given


def is_choice(criteria: Any) -> bool:
    return (
        isinstance(criteria, list)
        and bool(criteria)
        and all(isinstance(item, str) for item in criteria)
    )


def answer_of(question: dict[str, Any]) -> dict[str, Any]:
    """Nobody has thought: everything is as likely as everything else."""
    if question["type"] == "choice":
        criteria = question["criteria"]
        share = round(1 / len(criteria), 6)
        return {"value": criteria[0], "probabilities": dict.fromkeys(criteria, share)}
    if question["type"] == "score":
        return {"value": 0.5}
    return {"value": None, "probabilities": {"true": 0.5, "false": 0.5}}


def check_media(call: Call) -> int:
    """How many media items there are. Raises a refusal for those the model does not take."""
    total = 0
    for key, (most, most_mib) in MEDIA_LIMITS.items():
        items = call.body.fields.get(key)
        if not items:
            continue
        if key != "images" and "omni" not in call.model.id:
            raise BadInputError(f"this model does not take '/{key}'")
        if not isinstance(items, list):
            raise BadInputError(f"Type mismatch of '/{key}', 'array' not in 'string'")
        if len(items) > most:
            raise BadInputError(f"maxItems at '/{key}' is {most}, got {len(items)}")
        for item in items:
            if decoded_size(item) > most_mib * MEBIBYTE:
                raise RequestTooLargeError(f"an item of '/{key}' is larger than {most_mib} MiB")
        total += len(items)
    return total


def decoded_size(item: Any) -> int:
    """Bytes of a base64 text or a data URI. Raises InvalidBase64Error."""
    if not isinstance(item, str):
        raise InvalidBase64Error("Invalid base64 data")
    text = item.partition(",")[2] if item.startswith("data:") else item
    try:
        return len(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise InvalidBase64Error("Invalid base64 data") from error
