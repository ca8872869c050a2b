"""Small work on JSON schemas: what the local model is held to, and what stands in when it fails."""

from typing import Any

Schema = dict[str, Any]

# Short enough for a small model to come to an end.
MAX_STRING_CHARS = 60
MAX_ARRAY_ITEMS = 3
MAX_INTEGER = 9_999
MAX_DEPTH = 8

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


def minimal_instance(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """The plainest value that fits the schema's usual keywords; `pattern` is not understood."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return minimal_instance(_resolve(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return minimal_instance(schema[key][0], root, depth + 1)
    if schema.get("allOf"):
        merged: Schema = {}
        for part in schema["allOf"]:
            part = _resolve(part["$ref"], root) if "$ref" in part else part
            merged = {**merged, **part, **_merged_members(merged, part)}
        return minimal_instance(merged, root, depth + 1)
    return _minimal_by_type(schema, root, depth)


def _minimal_by_type(schema: Schema, root: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None and "properties" in schema:
        kind = "object"
    match kind:
        case "object":
            properties = schema.get("properties", {})
            return {
                name: minimal_instance(properties.get(name, {"type": "string"}), root, depth + 1)
                for name in schema.get("required", [])
            }
        case "array":
            items = schema.get("items", {"type": "string"})
            return [
                minimal_instance(items, root, depth + 1) for _ in range(schema.get("minItems", 0))
            ]
        case "string":
            return "x" * schema.get("minLength", 0)
        case "integer" | "number":
            return _minimal_number(schema)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return ""


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
