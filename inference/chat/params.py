"""The body of POST /v1/chat/completions: OpenAI's parameters, checked.

Unknown parameters are refused; some that clients send by habit are accepted and mean
nothing here (`user`, `metadata`, `store` …); some that only Workers AI's engines know are
passed on (`top_k`, `repetition_penalty` …).
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from agentflare.errors import InvalidRequestError
from inference.inputs import IMAGE_URL
from inference.numbers import WHOLE

MAX_MESSAGES = 5_000
MAX_TOOLS = 1_024


class _Open(BaseModel):
    """Clients send more than we need to know here, and more with every version."""

    model_config = ConfigDict(extra="allow")


class ImageUrl(_Open):
    url: Annotated[str, IMAGE_URL]
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(_Open):
    type: Literal["text"]
    text: str


class ImagePart(_Open):
    type: Literal["image_url"]
    image_url: ImageUrl


class RefusalPart(_Open):
    type: Literal["refusal"]
    refusal: str


def _part_class(part: Any) -> str | None:
    names = {"text": ":textpart", "image_url": ":imagepart", "refusal": ":refusalpart"}
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return names.get(kind) if isinstance(kind, str) else None


def _json_type(value: Any) -> str:
    """Chooses the member of a union by its JSON type, so that a fault names the right one."""
    return ":list" if isinstance(value, list) else ":object" if isinstance(value, dict) else ":text"


ContentPart = Annotated[
    Annotated[TextPart, Tag(":textpart")]
    | Annotated[ImagePart, Tag(":imagepart")]
    | Annotated[RefusalPart, Tag(":refusalpart")],
    Discriminator(
        _part_class,
        custom_error_type="not_a_content_part",
        custom_error_message="a content part must be an object with the type 'text' or 'image_url'",
    ),
]
Content = Annotated[
    Annotated[str, Tag(":text")] | Annotated[list[ContentPart], Tag(":list")],
    Discriminator(
        _json_type,
        custom_error_type="neither_of_both",
        custom_error_message="content must be a string or an array of content parts",
    ),
]


class FunctionCall(_Open):
    name: str
    arguments: str = ""


class ToolCall(_Open):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


_SOMETHING: dict[str, Any] = {"type": ["string", "array"]}


def _of(*roles: str, **needed: dict[str, Any]) -> dict[str, Any]:
    """What messages of these roles must have, as the schema says it. `missing` checks it."""
    return {
        "properties": {"role": {"enum": list(roles)}, **needed},
        "required": ["role", *needed],
    }


class Message(_Open):
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _of("system", "developer", "user", "function", "assistant", content=_SOMETHING),
                _of("tool", content=_SOMETHING, tool_call_id={"type": "string"}),
                _of("assistant", tool_calls={"type": "array", "minItems": 1}),
                _of("assistant", refusal={"type": "string", "minLength": 1}),
                _of("assistant", function_call={"type": "object", "minProperties": 1}),
            ]
        }
    )

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS)] | None = None
    tool_call_id: str | None = None
    name: str | None = None

    def missing(self) -> str | None:
        """The field that a message of this role needs and does not have."""
        if self.role == "tool" and self.tool_call_id is None:
            return "tool_call_id"
        says_something = self.content is not None or self.tool_calls
        if self.role == "assistant":
            extra = self.model_extra or {}
            says_something = says_something or extra.get("refusal") or extra.get("function_call")
        return None if says_something else "content"

    def text(self) -> str:
        """All text of the message, in order."""
        if isinstance(self.content, str):
            return self.content
        parts = self.content or []
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))

    def images(self) -> list[ImagePart]:
        if isinstance(self.content, list):
            return [part for part in self.content if isinstance(part, ImagePart)]
        return []


class Function(_Open):
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Open):
    type: Literal["function"]
    function: Function


class NamedFunction(_Open):
    name: str


class NamedToolChoice(_Open):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(_Open):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedToolChoice], Field(min_length=1)]


class AllowedToolChoice(_Open):
    """Some of the tools alone; all of them are sent for the sake of a cache at OpenAI."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


def _choice_class(value: Any) -> str:
    if isinstance(value, AllowedToolChoice):
        return ":allowed"
    kind = value.get("type") if isinstance(value, dict) else None
    return ":allowed" if kind == "allowed_tools" else _json_type(value)


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(":text")]
    | Annotated[NamedToolChoice, Tag(":object")]
    | Annotated[AllowedToolChoice, Tag(":allowed")],
    Discriminator(
        _choice_class,
        custom_error_type="neither_of_both",
        custom_error_message="tool_choice must be a string or an object that names a function",
    ),
]


class JsonSchema(_Open):
    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(_Open):
    """A schema by its type; `check` sees to it."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"type": {"enum": ["text", "json_object"]}}},
                {
                    "properties": {
                        "type": {"const": "json_schema"},
                        "json_schema": {
                            "type": "object",
                            "properties": {"schema": {"type": "object"}},
                            "required": ["schema"],
                        },
                    },
                    "required": ["json_schema"],
                },
            ]
        }
    )

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Open):
    include_usage: bool | None = None


Stop = Annotated[
    Annotated[str, Tag(":text")] | Annotated[list[str], Field(max_length=4), Tag(":list")],
    Discriminator(
        _json_type,
        custom_error_type="neither_of_both",
        custom_error_message="stop must be a string or an array of up to 4 strings",
    ),
]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Cap = Annotated[int, Field(ge=1, le=10_000_000), WHOLE]


class ChatCompletionParams(BaseModel):
    """Null counts as absent for every parameter that OpenAI knows, as it does there."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    n: Annotated[int, Field(ge=1, le=16), WHOLE] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    stop: Stop | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None

    # Known to Workers AI's engines, not to OpenAI's: sent through `extra_body`.
    top_k: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    # Accepted, and without meaning here.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    verbosity: str | None = None
    modalities: list[Literal["text"]] | None = None

    # Known, and not to be had here: null alone.
    audio: None = None
    functions: None = None
    function_call: None = None
    moderation: None = None
    prediction: None = None
    web_search_options: None = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def output_cap(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def capped(self, cap: int) -> "ChatCompletionParams":
        """The same, with an output cap that is lower than its own."""
        return self.model_copy(update={"max_tokens": cap, "max_completion_tokens": None})

    @property
    def stops(self) -> list[str]:
        """Without empty strings, which would stop everything."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def wants_json(self) -> bool:
        return self.response_format is not None and self.response_format.type != "text"

    def check(self) -> None:
        """Rules between fields. Raises InvalidRequestError."""
        if self.stream_options is not None and not self.stream:
            raise InvalidRequestError(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise InvalidRequestError(
                "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
            )
        self._check_tool_choice()
        self._check_messages()
        form = self.response_format
        if (
            form
            and form.type == "json_schema"
            and (form.json_schema is None or form.json_schema.schema_ is None)
        ):
            raise InvalidRequestError(
                "Missing required parameter: 'response_format.json_schema.schema'.",
                param="response_format.json_schema.schema",
                code="missing_required_parameter",
            )
        if self.top_logprobs is not None and not self.logprobs:
            raise InvalidRequestError(
                "'top_logprobs' requires 'logprobs' to be true.", param="top_logprobs"
            )

    def _check_tool_choice(self) -> None:
        """The tools that are named must be there. Of allowed ones the others are left out, which
        every model understands."""
        choice = self.tool_choice
        if isinstance(choice, NamedToolChoice):
            wanted = [choice.function.name]
        elif isinstance(choice, AllowedToolChoice):
            wanted = [tool.function.name for tool in choice.allowed_tools.tools]
        else:
            return
        offered = {tool.function.name for tool in self.tools or []}
        if missing := [name for name in wanted if name not in offered]:
            raise InvalidRequestError(
                f"Tool choice '{missing[0]}' not found in 'tools' parameter.", param="tool_choice"
            )
        if isinstance(choice, AllowedToolChoice):
            self.tools = [tool for tool in self.tools or [] if tool.function.name in wanted]
            self.tool_choice = choice.allowed_tools.mode

    def _check_messages(self) -> None:
        for position, message in enumerate(self.messages):
            if missing := message.missing():
                raise InvalidRequestError(
                    f"Missing required parameter: 'messages[{position}].{missing}'.",
                    param=f"messages[{position}].{missing}",
                    code="missing_required_parameter",
                )
