"""Items as clients send them: the params of OpenAI's Conversations and Responses APIs.

What there is and which fields are needed: OpenAI's published schemas (`InputItem`), 2026-11. Items
of tools that only OpenAI runs (file search, computer use, …) are refused by their name.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from agents.conversations.files import check_file
from inference.inputs import one_of

MAX_ITEMS = 20
# Of one item, as JSON: a picture of three megabytes.
MAX_ITEM_BYTES = 4 * 1024 * 1024
_PICTURE = re.compile(r"(?i)https?://|data:")
Status = Literal["in_progress", "completed", "incomplete"]
# `metadata` of everything that has some.
MAX_PAIRS, MAX_NAME, MAX_VALUE = 16, 64, 512
NO_NUL = r"^[^\x00]*$"
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)],
        Annotated[str, StringConstraints(max_length=MAX_VALUE, pattern=NO_NUL)],
    ],
    Field(max_length=MAX_PAIRS),
]


class Part(BaseModel):
    """Null counts as absent; unknown ones are refused."""

    # What is kept, or told again.
    is_written_again: ClassVar[bool] = True
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class InputText(Part):
    type: Literal["input_text"]
    text: str


class PlainText(Part):
    type: Literal["text"]
    text: str


class OutputText(Part):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []


class Refusal(Part):
    type: Literal["refusal"]
    refusal: str


class InputImage(Part):
    type: Literal["input_image"]
    image_url: str | None = None
    """A URL, or the picture itself as a data URL."""
    file_id: str | None = None
    """Refused: files are not kept here."""
    detail: Literal["low", "high", "auto", "original"] = "auto"


class InputFile(Part):
    type: Literal["input_file"]
    file_data: str | None = None
    """The file itself as a data URL."""
    filename: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    """Refused: files are not kept here."""


class SummaryText(Part):
    type: Literal["summary_text"]
    text: str


class ReasoningText(Part):
    type: Literal["reasoning_text"]
    text: str


MessagePart = Annotated[
    Annotated[InputText, Tag(":input_text")]
    | Annotated[PlainText, Tag(":text")]
    | Annotated[OutputText, Tag(":output_text")]
    | Annotated[Refusal, Tag(":refusal")]
    | Annotated[InputImage, Tag(":input_image")]
    | Annotated[InputFile, Tag(":input_file")],
    one_of(
        *("input_text", "input_image", "input_file", "output_text", "text", "refusal"),
        what="a part of a message",
    ),
]
OutputPart = Annotated[
    Annotated[InputText, Tag(":input_text")]
    | Annotated[InputImage, Tag(":input_image")]
    | Annotated[InputFile, Tag(":input_file")],
    one_of("input_text", "input_image", "input_file", what="a part of an output"),
]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _text_or_parts(value: Any) -> str:
    return ":parts" if isinstance(value, list) else ":text"


class _Item(Part):
    id: str | None = None
    """Accepted, and without meaning here: an item gets an id of its own."""

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        return self.model_dump(exclude={"id"}, exclude_none=True)


class Message(_Item):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[str, Tag(":text")]
        | Annotated[list[MessagePart], Field(min_length=1), Tag(":parts")],
        Discriminator(_text_or_parts),
    ]
    status: Status = "completed"
    phase: Literal["commentary", "final_answer"] | None = None

    def told(self) -> dict[str, Any]:
        if isinstance(self.content, str):
            content = [_of_text(self.role, self.content)]
        else:
            content = [part.model_dump(exclude_none=True) for part in self.content]
        told = {"type": self.type, "role": self.role, "status": self.status, "content": content}
        return told if self.phase is None else {**told, "phase": self.phase}


class FunctionCall(_Item):
    type: Literal["function_call"]
    call_id: CallId
    """What ties the call to its result."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    arguments: str
    """JSON, as a string."""
    status: Status = "completed"
    caller: dict[str, Any] | None = None
    namespace: str | None = None


class FunctionCallOutput(_Item):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Annotated[
        Annotated[str, Tag(":text")]
        | Annotated[list[OutputPart], Field(min_length=1), Tag(":parts")],
        Discriminator(_text_or_parts),
    ]
    status: Status | None = "completed"

    def told(self) -> dict[str, Any]:
        return {**super().told(), "status": self.status or "completed"}


class Reasoning(_Item):
    type: Literal["reasoning"]
    summary: list[SummaryText]
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class ItemReference(Part):
    """An item that is kept already, by its id."""

    type: Literal["item_reference"]
    id: str


def _item(value: Any) -> str:
    """A message needs no type."""
    if not isinstance(value, dict):
        return f":{getattr(value, 'type', None)}"
    return f":{value.get('type', 'message' if 'role' in value else None)}"


InputItem = Annotated[
    Annotated[Message, Tag(":message")]
    | Annotated[FunctionCall, Tag(":function_call")]
    | Annotated[FunctionCallOutput, Tag(":function_call_output")]
    | Annotated[Reasoning, Tag(":reasoning")],
    Discriminator(
        _item,
        custom_error_type="not_a_content_part",
        custom_error_message="it must be a message, or an item whose 'type' is 'function_call', "
        "'function_call_output' or 'reasoning'",
    ),
]


def require_readable(items: list[Any], *, param: str) -> None:
    """Files are not kept here, and those that travel in an item must be text.

    Raises UnsupportedParamError or InvalidRequestError.
    """
    for number, item in enumerate(items):
        name = "output" if isinstance(item, FunctionCallOutput) else "content"
        parts = getattr(item, name, None)
        for place, part in enumerate(parts if isinstance(parts, list) else []):
            _check_part(part, param=f"{param}[{number}].{name}[{place}]")


def _check_part(part: Any, *, param: str) -> None:
    if getattr(part, "file_id", None) is not None:
        raise UnsupportedParamError(
            "Files are not kept here: send the content itself, as 'image_url' or 'file_data'.",
            param=f"{param}.file_id",
        )
    if isinstance(part, InputImage) and part.image_url is None:
        raise InvalidRequestError(
            f"Missing required parameter: '{param}.image_url'.",
            param=f"{param}.image_url",
            code="missing_required_parameter",
        )
    if isinstance(part, InputImage) and not _PICTURE.match(part.image_url or ""):
        raise InvalidRequestError(
            f"Invalid value for '{param}.image_url': it must be an http:// or https:// URL, or a "
            "data URL.",
            param=f"{param}.image_url",
            code="invalid_value",
        )
    if isinstance(part, InputFile):
        check_file(part, param=param)


def _of_text(role: str, text: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
