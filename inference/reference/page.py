"""The reference page's contents, all of them from the document."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from django.utils.safestring import SafeString

from agentflare.errors import GatewayError
from inference.reference import headers
from inference.reference.document import document
from inference.reference.fields import FieldReader, Table
from inference.reference.groups import TAGS
from inference.reference.prose import inline, paragraphs
from inference.reference.refusals import WHEN, name_of, status_of
from inference.reference.schemas import Schema


@dataclass(frozen=True, slots=True)
class Sample:
    """lang: also the class of its tab."""

    lang: str
    source: str


@dataclass(frozen=True, slots=True)
class ExampleView:
    id: str
    title: str
    samples: list[Sample]
    answer: str
    answer_type: str


@dataclass(frozen=True, slots=True)
class Part:
    """A body, or an answer, in one of its forms."""

    media_type: str
    note: str
    tables: list[Table]


@dataclass(frozen=True, slots=True)
class ParameterView:
    name: str
    place: str
    is_required: bool
    meaning: SafeString


@dataclass(frozen=True, slots=True)
class ErrorView:
    status: str
    names: list[str]


@dataclass(frozen=True, slots=True)
class OperationView:
    id: str
    method: str
    path: str
    summary: str
    description: SafeString
    is_public: bool
    parameters: list[ParameterView]
    bodies: list[Part]
    answers: list[Part]
    errors: list[ErrorView]
    examples: list[ExampleView]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    about: str
    operations: list[OperationView]

    @property
    def id(self) -> str:
        return f"group-{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class RefusalView:
    status: int
    anthropic_status: int
    name: str
    meaning: SafeString
    retry: SafeString


@cache
def contents() -> dict[str, Any]:
    """The template's context."""
    told = document()
    views = [
        (operation["tags"][0], _operation_view(told, method, path, operation))
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    ]
    return {
        "groups": [
            Group(tag, about, [view for name, view in views if name == tag])
            for tag, about in TAGS.items()
        ],
        "refusals": sorted(map(_refusal_view, WHEN), key=lambda refusal: refusal.status),
        "answer_headers": [
            (name, inline(meaning)) for name, (meaning, _) in headers.ANSWER_HEADERS.items()
        ],
    }


def _operation_view(told: Schema, method: str, path: str, operation: Schema) -> OperationView:
    body = operation.get("requestBody", {}).get("content", {})
    success = _success(operation)
    return OperationView(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=paragraphs(operation["description"]),
        is_public=not operation["security"],
        parameters=[_parameter_view(told, found) for found in operation["parameters"]],
        bodies=[_part(told, media_type, content) for media_type, content in body.items()],
        answers=[_part(told, media_type, content) for media_type, content in success.items()],
        errors=list(_errors(told, operation["responses"])),
        examples=_examples(operation),
    )


def _success(operation: Schema) -> Schema:
    """Media type → what is answered."""
    responses: dict[str, Schema] = operation["responses"]
    found: Schema = next(told for status, told in responses.items() if status.startswith("2"))
    content: Schema = found["content"]
    return content


def _parameter_view(told: Schema, found: Schema) -> ParameterView:
    if "$ref" in found:
        found = told["components"]["parameters"][found["$ref"].rpartition("/")[2]]
    return ParameterView(
        found["name"], found["in"], found.get("required", False), inline(found["description"])
    )


def _part(told: Schema, media_type: str, content: Schema) -> Part:
    schema = content["schema"]
    shown = schema.get("x-event-schema", schema)
    reader = FieldReader(told)
    members = shown.get("anyOf", [shown])
    tables = [reader.table(member, title=_name(member, members)) for member in members]
    note = schema.get("description", "")
    return Part(media_type, note, [table for table in tables if table.rows])


def _name(schema: Schema, among: list[Schema]) -> str:
    return schema.get("$ref", "").rpartition("/")[2] if len(among) > 1 else ""


def _errors(told: Schema, responses: Schema) -> Iterable[ErrorView]:
    for status, response in responses.items():
        if status.startswith("2"):
            continue
        found = told["components"]["responses"][response["$ref"].rpartition("/")[2]]
        (content,) = found["content"].values()
        names = [_code_in(example["value"]) for example in content["examples"].values()]
        yield ErrorView(status, list(dict.fromkeys(names)))


def _code_in(body: Schema) -> str:
    error = body["error"]
    return str(error.get("code") or error.get("details", {}).get("error_code") or error["type"])


def _examples(operation: Schema) -> list[ExampleView]:
    titles: dict[str, list[Sample]] = {}
    for sample in operation.get("x-codeSamples", []):
        titles.setdefault(sample["label"], []).append(Sample(sample["lang"], sample["source"]))
    answers = {
        title: (media_type, example["value"])
        for media_type, content in _success(operation).items()
        for title, example in content.get("examples", {}).items()
    }
    return [
        ExampleView(
            f"{operation['operationId']}-{number}",
            title,
            samples,
            _readable(answers[title][1]) if title in answers else "",
            answers[title][0] if title in answers else "",
        )
        for number, (title, samples) in enumerate(titles.items(), start=1)
    ]


def _readable(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()


def _refusal_view(error: GatewayError) -> RefusalView:
    return RefusalView(
        status_of(error, "openai"),
        status_of(error, "anthropic"),
        name_of(error),
        inline(WHEN[error]),
        inline(_retry(error)),
    )


def _retry(error: GatewayError) -> str:
    """What OpenAI's and Anthropic's clients do by themselves."""
    if error.headers.get("x-should-retry") == "false":
        return "no"
    if "retry-after" in error.headers:
        return "yes, after `retry-after`"
    is_retried = error.status in (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
    return "yes" if is_retried or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "no"
