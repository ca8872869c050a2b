"""JSON schemas of pydantic models: of those that check requests, and of `answers/`.

All models go through pydantic in one call, so that each of them is one component.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import (
    CoreModeRef,
    DefsRef,
    GenerateJsonSchema,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core import core_schema

Schema = dict[str, Any]
REF = "#/components/schemas/"
# Several folders have a Message, a Tool, a ClassificationParams.
_PREFIXES = {
    "chat": "Chat",
    "messages": "Anthropic",
    "images": "Image",
    "speech": "Speech",
    "transcripts": "Transcript",
    "conversations": "Conversation",
}


def component_name(core_ref: str) -> str:
    """`inference.chat.params.Message:94` → `ChatMessage`."""
    *folders, _, name = re.split(r"\W", core_ref.rpartition(":")[0])
    prefix = _PREFIXES.get(folders[-1], "")
    return name if name.startswith(prefix) else prefix + name


class _Generator(GenerateJsonSchema):
    """Without titles, which repeat the names, and without `default: null`: null is absence."""

    def get_defs_ref(self, core_mode_ref: CoreModeRef) -> DefsRef:
        name = DefsRef(component_name(core_mode_ref[0]))
        known = self.defs_to_core_refs.setdefault(name, core_mode_ref)
        assert known == core_mode_ref, f"{known[0]} and {core_mode_ref[0]} are both {name}"
        self._prioritized_defsref_choices[name] = [name]
        return name

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        if found.get("default") is None:
            found.pop("default", None)
        return found


def components(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """Name → schema, of the models and all that they consist of."""
    inputs = [(model, "validation") for model in models]
    _, found = models_json_schema(
        inputs,  # type: ignore[arg-type]
        ref_template=REF + "{model}",
        schema_generator=_Generator,
    )
    schemas: dict[str, Schema] = found.get("$defs", {})
    for schema in schemas.values():
        schema.pop("title", None)
    return dict(sorted(schemas.items()))


def ref(model: type[BaseModel]) -> Schema:
    return {"$ref": REF + component_name(f"{model.__module__}.{model.__name__}:")}
