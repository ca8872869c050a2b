"""JSON from models that have no mode for it: asked for, checked, and asked for once more."""

from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.exceptions import ValidationError as SchemaMismatchError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from agentflare.errors import InvalidRequestError
from inference.chat.params import ResponseFormat

SCHEMA_PARAM = "response_format.json_schema.schema"
_MOST_PARTS = 500
_DEEPEST = 60
_MOST_REFERENCES = 2_000


class NoJsonError(ValueError):
    """The text is not what was asked for; says why."""


def _unchecked(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """A client's regular expression over a model's text could keep a worker busy for hours."""


_followed: ContextVar[int] = ContextVar("references followed")


def _counted(validator: Any, reference: Any, instance: Any, schema: Any) -> Any:
    """References that double each other make a short schema endless work."""
    count = _followed.get(0) + 1
    _followed.set(count)
    if count > _MOST_REFERENCES:
        raise NoJsonError("the schema's references lead too far")
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, schema)


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _unchecked, "patternProperties": _unchecked, "$ref": _counted}
)


def check_schema(schema: dict[str, Any] | None) -> None:
    """Raises InvalidRequestError for a schema that is none, or too large to check answers by."""
    if schema is None:
        return
    _check_size(schema)
    try:
        _Validator.check_schema(schema)
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
    """Checking a schema takes a quarter of a millisecond for each part, during which this
    process does nothing else."""
    parts = 0
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        parts += 1
        if parts > _MOST_PARTS or depth > _DEEPEST:
            raise InvalidRequestError(
                f"A schema of more than {_MOST_PARTS} parts or {_DEEPEST} levels can only be used "
                "with models that have JSON mode (`json_mode` among their capabilities).",
                param=SCHEMA_PARAM,
                code="invalid_json_schema",
            )
        inner = value.values() if isinstance(value, dict) else value
        waiting.extend((part, depth + 1) for part in inner if isinstance(part, dict | list))


def instruction(form: ResponseFormat) -> str:
    """What is asked of the model, as a system message."""
    schema = schema_of(form)
    text = "Answer with a single JSON object and nothing else: no prose, no code fence."
    if schema is None:
        return text
    wanted = orjson.dumps(schema).decode()
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
    try:
        _followed.set(0)
        _validator(orjson.dumps(schema)).validate(value)
    except SchemaMismatchError as exc:
        raise NoJsonError(f"{exc.json_path}: {exc.message[:300]}") from None
    except (Unresolvable, RecursionError) as exc:
        raise NoJsonError(f"the schema cannot be followed: {type(exc).__name__}") from None
    return bare


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
