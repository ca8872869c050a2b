"""What the document says of one method of one path. `groups/` has one for each.

Whatever code knows better (fields, their ranges, errors' bodies) is taken from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from agentflare.errors import GatewayError
from inference.reference.schemas import Schema

Dialect = Literal["openai", "anthropic", "both"]


@dataclass(frozen=True, slots=True)
class Body:
    """One form in which a request may be sent.

    model: a JSON document's, or a form's fields. files: a form's files, name → its meaning.
    schema: where there is no model.
    """

    model: type[BaseModel] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    required_files: tuple[str, ...] = ()
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """One form in which an answer may come.

    models: one of these documents. events: what the data of a stream's events may be.
    Neither: bytes, or text if `is_text`.
    """

    models: tuple[type[BaseModel], ...] = ()
    events: tuple[type[BaseModel], ...] = ()
    is_text: bool = False
    when: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A request that works in the sandbox; `answers.json` has what came back.

    body: JSON, or a form's fields. extra: what of it the usual client has no parameter for.
    files: a form's file → the name it lies under. path: where its parameters are filled in.
    call: the method of the usual client, as in Python; empty: it has none for this path.
    python, javascript: what to do with `answer`; printed unless said otherwise.
    saves: the file that a binary answer is put into.
    """

    title: str
    body: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    call: str = ""
    python: str = "print(answer)"
    javascript: str = "console.log(answer);"
    saves: str = ""

    @property
    def whole_body(self) -> dict[str, Any]:
        return {**(self.body or {}), **self.extra}


@dataclass(frozen=True, slots=True)
class Operation:
    """method and path: as in the URLconf. refusals: everything it may refuse with."""

    method: Literal["get", "post", "delete"]
    path: str
    id: str
    tag: str
    summary: str
    description: str
    answers: Mapping[str, Content]
    refusals: tuple[GatewayError, ...]
    examples: tuple[Example, ...] = ()
    bodies: Mapping[str, Body] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()
    headers: tuple[str, ...] = ()
    dialect: Dialect = "openai"
    is_public: bool = False
    # The status of a success.
    success: str = "200"

    @property
    def models(self) -> list[type[BaseModel]]:
        """All that its part of the document refers to."""
        of_bodies = [body.model for body in self.bodies.values() if body.model]
        of_answers = [
            model for content in self.answers.values() for model in content.models + content.events
        ]
        return of_bodies + of_answers
