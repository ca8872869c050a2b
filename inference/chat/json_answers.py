"""JSON from models that have no mode for it: asked for, checked, and asked for once more."""

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


def _unchecked(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """A client's regular expression over a model's text could keep a worker busy for hours."""


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _unchecked, "patternProperties": _unchecked}
)


class NoJsonError(ValueError):
    """The text is not what was asked for; says why."""


def check_schema(schema: dict[str, Any] | None) -> None:
    """Raises InvalidRequestError for a schema that is none."""
    if schema is None:
        return
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
