"""JSON from models that have no mode for it: asked for, checked, and asked for once more."""

from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from jsonschema.exceptions import ValidationError as SchemaMismatchError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from agentflare.concurrency import off_loop
from agentflare.errors import InvalidRequestError
from inference.chat.params import ResponseFormat
from inference.upstreams.requests import dump_json

SCHEMA_PARAM = "response_format.json_schema.schema"
_MOST_PARTS = 500
_MOST_VALUES = 3_000
_DEEPEST = 60
# Some 20 µs each, off the loop: a second of work.
_MOST_STEPS = 50_000
# Following a reference takes as long as so many steps.
_STEPS_OF_A_REFERENCE = 10
# Formats are no rules (and a regular expression would be compiled).
_NO_FORMATS = FormatChecker(formats=())
# What stands in these lists is looked through in C, so many in a step.
_PLAIN_LISTS = {"enum", "required", "const"}
_LISTED_IN_A_STEP = 20


class NoJsonError(ValueError):
    """The text is not what was asked for; says why, and nothing of the text: an answer that
    costs nothing must not come back inside its error."""


_steps: ContextVar[int] = ContextVar("steps of a check")


def _counted(name: str, keyword: Any) -> Any:
    """The keyword's check, within what one answer's check may take: references that double each
    other, or a long list against many rules, make a short schema endless work."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        steps = _steps.get(0) + _steps_of(name, value, instance)
        _steps.set(steps)
        if steps > _MOST_STEPS:
            raise NoJsonError("checking it against the schema leads too far")
        return keyword(validator, value, instance, schema) or ()

    return check


def _steps_of(name: str, value: Any, instance: Any) -> int:
    if name in ("$ref", "$dynamicRef"):
        return _STEPS_OF_A_REFERENCE
    rules = len(value) if isinstance(value, list | dict) else 0
    if name in _PLAIN_LISTS:
        return 1 + rules // _LISTED_IN_A_STEP
    if name in ("items", "contains"):
        return 1 + (len(instance) if isinstance(instance, list) else 0)
    return 1 + rules


def _unchecked(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Would run a client's regular expression over a model's text, which could keep a worker
    busy for hours."""


def _additional(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    """Which properties are additional is told by regular expressions, where there are any."""
    if "patternProperties" in schema:
        return ()
    return Draft202012Validator.VALIDATORS["additionalProperties"](
        validator, value, instance, schema
    )


def _unique(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    """In one pass: jsonschema compares each with each."""
    if value and isinstance(instance, list):
        texts = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(texts) < len(instance):
            yield SchemaMismatchError("has elements that are not unique")


_KEYWORDS = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _unchecked,
    "patternProperties": _unchecked,
    "unevaluatedProperties": _unchecked,
    "unevaluatedItems": _unchecked,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
}
_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {name: _counted(name, check) for name, check in _KEYWORDS.items()}
)


def check_schema(schema: dict[str, Any] | None) -> None:
    """Raises InvalidRequestError for a schema that is none, or too large to check answers by."""
    if schema is None:
        return
    _check_size(schema)
    try:
        # Pure Python, and a quarter of a second of it at the worst.
        off_loop(lambda: Draft202012Validator.check_schema(schema, format_checker=_NO_FORMATS))
    except SchemaError as exc:
        where = "".join(f".{part}" for part in exc.absolute_path)
        raise InvalidRequestError(
            f"Invalid schema for response_format: {exc.message[:300]}",
            param=SCHEMA_PARAM + where[:200],
            code="invalid_json_schema",
        ) from None
    except RecursionError:
        raise InvalidRequestError(
            "The schema is nested too deeply.", param=SCHEMA_PARAM, code="invalid_json_schema"
        ) from None


def _check_size(schema: dict[str, Any]) -> None:
    """Checking a schema takes up to a millisecond for each part that can be a schema itself, and
    a twentieth for each other value."""
    parts = values = 0
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        # True and False are schemas, too.
        parts += isinstance(value, dict | list | bool)
        values += 1
        if isinstance(value, dict | list):
            values += len(value)
        if parts > _MOST_PARTS or values > _MOST_VALUES or depth > _DEEPEST:
            raise InvalidRequestError(
                f"A schema of more than {_MOST_PARTS} parts, {_MOST_VALUES} values or {_DEEPEST} "
                "levels can only be used with models that have JSON mode (`json_mode` among "
                "their capabilities).",
                param=SCHEMA_PARAM,
                code="invalid_json_schema",
            )
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            waiting.extend((part, depth + 1) for part in inner)


def instruction(form: ResponseFormat) -> str:
    """What is asked of the model, as a system message."""
    schema = schema_of(form)
    text = "Answer with a single JSON object and nothing else: no prose, no code fence."
    if schema is None:
        return text
    wanted = dump_json(schema).decode()
    described = form.json_schema.description if form.json_schema else None
    return "\n".join(
        [text, *([described] if described else []), f"It must match this JSON schema: {wanted}"]
    )


def schema_of(form: ResponseFormat) -> dict[str, Any] | None:
    return form.json_schema.schema_ if form.json_schema else None


def read_json(text: str, schema: dict[str, Any] | None) -> str:
    """The JSON in a model's answer, alone. Raises NoJsonError."""
    bare = _without_fence(text.strip())
    try:
        value = orjson.loads(bare)
    except orjson.JSONDecodeError as exc:
        raise NoJsonError(f"it is no JSON: {exc}") from None
    if schema is None:
        if not isinstance(value, dict):
            raise NoJsonError("it is no JSON object")
        return bare
    off_loop(lambda: _check(value, schema))
    return bare


def _check(value: Any, schema: dict[str, Any]) -> None:
    _steps.set(0)
    try:
        _validator(dump_json(schema)).validate(value)
    except SchemaMismatchError as exc:
        rule = "/".join(str(part) for part in exc.absolute_schema_path)
        raise NoJsonError(f"it does not meet the schema at '#/{rule[:200]}'") from None
    except (Unresolvable, RecursionError) as exc:
        raise NoJsonError(f"the schema cannot be followed: {type(exc).__name__}") from None


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:
    # An empty registry: references to other documents are not fetched.
    return _Validator(orjson.loads(schema), registry=Registry())


def _without_fence(text: str) -> str:
    """Small models put JSON into a Markdown block, or a sentence before it."""
    if "```" in text:
        inner = text.split("```", 2)[1]
        return inner.removeprefix("json").strip()
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
