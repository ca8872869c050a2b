"""Small work on JSON schemas: what the local model is held to, and what stands in when it fails."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

# Short enough for a small model to come to an end.
MAX_STRING_CHARS = 60
MAX_ARRAY_ITEMS = 3
MAX_INTEGER = 9_999
MAX_DEPTH = 8
# From here on lists stay empty, and null is taken where it may be.
DEEP = 5

# The plainest strings that have a form of their own.
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}

INTEGER_LIMITS = frozenset(
    ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "const", "multipleOf")
)

ANY_OBJECT: Schema = {"type": "object"}


def bounded(schema: Any, depth: int = 0) -> Any:
    """A copy with limits where there are none, so that generation under it ends soon."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return schema
    copy = {key: _bounded_child(key, value, depth + 1) for key, value in schema.items()}
    kind = copy.get("type")
    if kind == "string" and not copy.keys() & {"enum", "const", "format", "pattern"}:
        copy["maxLength"] = min(copy.get("maxLength", MAX_STRING_CHARS), MAX_STRING_CHARS)
        copy["maxLength"] = max(copy["maxLength"], copy.get("minLength", 0))
    if kind == "integer" and not copy.keys() & INTEGER_LIMITS:
        copy |= {"minimum": 0, "maximum": MAX_INTEGER}
    if kind == "array":
        copy["maxItems"] = min(copy.get("maxItems", MAX_ARRAY_ITEMS), MAX_ARRAY_ITEMS)
        copy["maxItems"] = max(copy["maxItems"], copy.get("minItems", 0))
    return copy


def _bounded_child(key: str, value: Any, depth: int) -> Any:
    if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {name: bounded(child, depth) for name, child in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [bounded(child, depth) for child in value]
    if key in ("items", "additionalProperties"):
        return bounded(value, depth)
    return value


class Values:
    """Where an instance takes its values from. These are the plainest."""

    def string(self) -> str:
        return ""

    def number(self, *, is_whole: bool) -> int | float | None:
        """None: the plainest that the schema allows."""
        return None

    def option(self, options: list[Any]) -> Any:
        return options[0]


PLAINEST = Values()


def minimal_instance(
    schema: Any, root: Any = None, depth: int = 0, *, values: Values = PLAINEST
) -> Any:
    """The plainest value that fits the schema's usual keywords; `pattern` is not understood.

    With other `values` it is filled with them where they fit: objects have the optional properties
    that have no default, too, and lists have an item.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None

    def inner(part: Any) -> Any:
        return minimal_instance(part, root, depth + 1, values=values)

    if "$ref" in schema:
        return inner(_resolve(schema["$ref"], root))
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return values.option(schema["enum"])
    if "default" in schema:
        return schema["default"]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return inner(_option(schema[key], depth))
    if schema.get("allOf"):
        merged: Schema = {}
        for part in schema["allOf"]:
            part = _resolve(part["$ref"], root) if "$ref" in part else part
            merged = {**merged, **part, **_merged_members(merged, part)}
        return inner(merged)
    return _minimal_by_type(schema, inner, depth, values)


def _option(options: list[Any], depth: int) -> Any:
    """The first; deep inside rather null, so that a schema within itself comes to an end."""
    if depth > DEEP:
        return next((option for option in options if option == {"type": "null"}), options[0])
    return options[0]


def _minimal_by_type(
    schema: Schema, inner: Callable[[Any], Any], depth: int, values: Values
) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None and "properties" in schema:
        kind = "object"
    match kind:
        case "object":
            properties = schema.get("properties", {})
            names = list(schema.get("required", []))
            if values is not PLAINEST and depth <= DEEP:
                optional = [name for name in properties if "default" not in properties[name]]
                names += [name for name in optional if name not in names]
            return {name: inner(properties.get(name, {"type": "string"})) for name in names}
        case "array":
            items = schema.get("items", {"type": "string"})
            has_room = depth <= DEEP and schema.get("maxItems", 1) >= 1
            least = 1 if values is not PLAINEST and has_room else 0
            return [inner(items) for _ in range(max(schema.get("minItems", 0), least))]
        case "string":
            return _minimal_string(schema, values)
        case "integer" | "number":
            return _number(schema, values.number(is_whole=kind == "integer"))
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return values.string()


def _minimal_string(schema: Schema, values: Values) -> str:
    if (example := FORMATS.get(schema.get("format", ""))) is not None:
        return example
    text = values.string()[: schema.get("maxLength")]
    return text + "x" * (schema.get("minLength", 0) - len(text))


def _number(schema: Schema, wanted: int | float | None) -> Any:
    """The number wanted where the schema allows it, else the plainest."""
    plainest = _minimal_number(schema)
    if wanted is None or schema.get("multipleOf"):
        return plainest
    low, above = schema.get("minimum", wanted), schema.get("exclusiveMinimum", wanted - 1)
    high, below = schema.get("maximum", wanted), schema.get("exclusiveMaximum", wanted + 1)
    return wanted if low <= wanted <= high and above < wanted < below else plainest


def _minimal_number(schema: Schema) -> Any:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    value = 0
    if low is not None:
        value = max(value, low)
    if above is not None:
        value = max(value, above + 1)
    if high is not None:
        value = min(value, high)
    if below is not None and value >= below:
        value = below - 1
    step = schema.get("multipleOf")
    if step and value % step:
        value += step - value % step
    return value


def _merged_members(one: Schema, other: Schema) -> Schema:
    return {
        "properties": {**one.get("properties", {}), **other.get("properties", {})},
        "required": [*one.get("required", []), *other.get("required", [])],
    }


def _resolve(reference: str, root: Any) -> Any:
    """The part of `root` that a local reference ("#/$defs/Name") names; {} if there is none."""
    node = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            node = node.get(step, {}) if isinstance(node, dict) else {}
    return node
