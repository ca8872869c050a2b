"""The OpenAPI document: the URLconf's paths, the operations that `groups/` tells of, and the
schemas of the models that check requests.

drf-spectacular walks the URLconf; what it would guess from serializers, which we have none of,
is said by `operation_object`. Nothing here asks PostgreSQL.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from inference.reference import headers
from inference.reference.answers.errors import AnthropicError, Error
from inference.reference.groups import OPERATIONS, TAGS
from inference.reference.groups.common import EVENTS, FORM, JSON
from inference.reference.operation import Body, Content, Operation
from inference.reference.refusals import error_responses
from inference.reference.samples import answer_of, code_samples
from inference.reference.schemas import Schema, components, ref
from inference.reference.words import describe

_ABOUT = """\
An AI gateway: many models behind OpenAI's API, paid from prepaid credit.

Point any OpenAI client at the server's URL with your API key. Every answer tells what it cost.
"""
_BY_PLACE: dict[tuple[str, str], Operation] = {
    (operation.method, operation.path): operation for operation in OPERATIONS
}


@cache
def document() -> Schema:
    """Built once in each process. Its readers must not change it."""
    generator: Any = _Generator
    paths = generator(urlconf=settings.ROOT_URLCONF).parse(None, True)
    responses = share_responses(paths)
    models = [model for operation in OPERATIONS for model in operation.models]
    schemas = components([*models, Error, AnthropicError])
    describe(schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "AgentFlare", "version": "1", "description": _ABOUT},
        "servers": [{"url": settings.AGENTFLARE_URL}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": {path: paths[path] for path in _in_order(paths)},
        "components": {
            "schemas": schemas,
            "responses": responses,
            "parameters": headers.parameter_components(),
            "headers": headers.answer_header_components(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer oi_…`",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "As Anthropic's clients send it.",
                },
            },
        },
    }


class _Generator(SchemaGenerator):
    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:
        view = super().create_view(callback, method, request)  # type: ignore[no-untyped-call]
        self._set_schema_to_view(view, _OperationSchema())  # type: ignore[no-untyped-call]
        return view


class _OperationSchema(AutoSchema):
    """An endpoint that nobody has described is left out; a test sees to it that there is none."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> Schema | None:
        if not path.startswith("/v1/"):
            return None
        operation = _BY_PLACE.get((method.lower(), path))
        return operation_object(operation) if operation else None


def share_responses(paths: Schema) -> dict[str, Schema]:
    """Refusals that several operations have, each once, by name; in `paths` references to them."""
    names: dict[str, str] = {}
    shared: dict[str, Schema] = {}
    for operation in (found for methods in paths.values() for found in methods.values()):
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                continue
            alike = sum(name.startswith(f"Error{status}") for name in shared)
            name = names.setdefault(json.dumps(response), f"Error{status}_{alike + 1}")
            shared[name] = response
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _in_order(paths: Schema) -> Iterator[str]:
    yield from dict.fromkeys(o.path for o in OPERATIONS if o.path in paths)


def operation_object(operation: Operation) -> Schema:
    told: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": [] if operation.is_public else [{"bearer": []}, {"apiKey": []}],
        "parameters": [
            *operation.parameters,
            *({"$ref": f"#/components/parameters/{name}"} for name in operation.headers),
        ],
        "responses": {
            operation.success: _success(operation),
            **error_responses(operation.refusals, operation.dialect),
        },
    }
    if operation.bodies:
        told["requestBody"] = {
            "required": True,
            "content": {
                media_type: _body_content(operation, media_type, body)
                for media_type, body in operation.bodies.items()
            },
        }
    if samples := code_samples(operation):
        told["x-codeSamples"] = samples
    return told


# --- requests -----------------------------------------------------------------------


def _body_content(operation: Operation, media_type: str, body: Body) -> Schema:
    content: Schema = {"schema": _body_schema(media_type, body)}
    is_form = media_type == FORM
    examples = {
        example.title: {"value": example.whole_body}
        for example in operation.examples
        if example.body is not None
        and media_type in (JSON, FORM)
        and is_form == bool(example.files)
    }
    # A form's example would lack its file.
    if examples and not is_form:
        content["examples"] = examples
    return content


def _body_schema(media_type: str, body: Body) -> Schema:
    if body.schema is not None:
        return body.schema
    assert body.model is not None
    if not body.files:
        return ref(body.model)
    files = {
        name: {"type": "string", "format": "binary", "description": meaning}
        for name, meaning in body.files.items()
    }
    return form_schema(components([body.model]), body, files)


def form_schema(schemas: dict[str, Schema], body: Body, files: Schema) -> Schema:
    """A form's fields beside its files. Null cannot be sent in a form, so it is left out."""
    assert body.model is not None
    describe(schemas)
    own = schemas[ref(body.model)["$ref"].rpartition("/")[2]]
    fields = {
        name: found
        for name, schema in own["properties"].items()
        if (found := _without_null(schema)) is not None
    }
    return {
        **own,
        "properties": {**fields, **files},
        "required": [*own.get("required", []), *body.required_files],
    }


def _without_null(schema: Schema) -> Schema | None:
    """None: null was all that it could be."""
    if schema.get("type") == "null":
        return None
    members = [member for member in schema.get("anyOf", []) if member.get("type") != "null"]
    if not members:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**members[0], **rest} if len(members) == 1 else {**rest, "anyOf": members}


# --- answers ------------------------------------------------------------------------


def _success(operation: Operation) -> Schema:
    names = list(headers.ALWAYS)
    names += headers.ANTHROPIC if operation.dialect == "anthropic" else headers.OPENAI
    if operation.dialect == "both":
        names += headers.ANTHROPIC
    if "Idempotency-Key" in operation.headers:
        names += headers.REPEAT
    if "x-agentflare-cache-ttl" in operation.headers:
        names += headers.CALL
    return {
        "description": _when(operation),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            media_type: _answer_content(operation, media_type, content)
            for media_type, content in operation.answers.items()
        },
    }


def _when(operation: Operation) -> str:
    told = [
        f"- `{media_type}`: {content.when}"
        for media_type, content in operation.answers.items()
        if content.when
    ]
    return "\n".join(["Success.", "", *told]) if told else "Success."


def _answer_content(operation: Operation, media_type: str, content: Content) -> Schema:
    schema: Schema
    if content.models:
        refs = [ref(model) for model in content.models]
        schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    elif media_type == JSON:
        schema = {"type": "object"}
    elif media_type == EVENTS:
        # No type: some readers take the stream for one text, others for a list of events.
        schema = {"description": "Server-sent events."}
    elif content.is_text:
        schema = {"type": "string"}
    else:
        schema = {"type": "string", "format": "binary"}
    if content.events:
        # What stands in the `data:` lines: OpenAPI 3.1 has no place for it.
        schema["description"] = "Server-sent events; `x-event-schema` is that of their data."
        refs = [ref(model) for model in content.events]
        schema["x-event-schema"] = refs[0] if len(refs) == 1 else {"anyOf": refs}
    examples = {
        example.title: {"value": answer["body"]}
        for example in operation.examples
        if (answer := answer_of(operation, example)) and answer["type"] == media_type
    }
    return {"schema": schema, **({"examples": examples} if examples else {})}
