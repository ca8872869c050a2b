"""The body of POST /v1/responses: OpenAI's parameters, checked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from agents.conversations.items import NO_NUL, InputItem, ItemReference, Metadata, Part
from inference.chat.params import Cap, Effort
from inference.numbers import WHOLE

MAX_INPUT_ITEMS = 5_000
MAX_TOOLS = 1_024
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class _Open(BaseModel):
    """Clients send more than we need to know here, and more with every version."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class ResponseFunctionTool(_Open):
    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseOtherTool(_Open):
    """Refused by name: tools that OpenAI runs itself."""

    type: str


def _tool(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return ":function" if kind == "function" else ":other"


ResponseTool = Annotated[
    Annotated[ResponseFunctionTool, Tag(":function")] | Annotated[ResponseOtherTool, Tag(":other")],
    Discriminator(_tool),
]


class FunctionChoice(_Open):
    type: Literal["function"]
    name: Name


class AllowedChoice(_Open):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], Field(min_length=1)]


def _choice(value: Any) -> str:
    if isinstance(value, str):
        return ":text"
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return ":allowed" if kind == "allowed_tools" else ":function"


ResponseToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(":text")]
    | Annotated[FunctionChoice, Tag(":function")]
    | Annotated[AllowedChoice, Tag(":allowed")],
    Discriminator(_choice),
]


class TextFormat(_Open):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None
    description: str | None = None


class TextOptions(_Open):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(_Open):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    """Accepted: what the model thinks is told as it is, not summed up."""
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseStreamOptions(_Open):
    include_obfuscation: bool | None = None
    """Accepted; nothing is added to events here."""


class ConversationReference(_Open):
    id: str


def _conversation(value: Any) -> str:
    return ":id" if isinstance(value, str) else ":object"


def _input(value: Any) -> str:
    return ":items" if isinstance(value, list) else ":text"


def _item(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return ":reference" if kind == "item_reference" else ":item"


class ResponseParams(Part):
    """Null counts as absent for every parameter that OpenAI knows, as it does there."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
    input: (
        Annotated[
            Annotated[str, Tag(":text")]
            | Annotated[
                list[
                    Annotated[
                        Annotated[InputItem, Tag(":item")]
                        | Annotated[ItemReference, Tag(":reference")],
                        Discriminator(_item),
                    ]
                ],
                Field(max_length=MAX_INPUT_ITEMS),
                Tag(":items"),
            ],
            Discriminator(_input),
        ]
        | None
    ) = None
    """A text, or items, the oldest first."""
    instructions: str | None = None
    """What the model reads before all else; not carried over from `previous_response_id`."""
    previous_response_id: str | None = None
    """The response that this one follows; any one of them may be followed more than once."""
    conversation: (
        Annotated[
            Annotated[str, Tag(":id")] | Annotated[ConversationReference, Tag(":object")],
            Discriminator(_conversation),
        ]
        | None
    ) = None
    """The conversation whose items come first, and which input and output are added to."""
    store: bool | None = None
    """Whether the response can be read and followed later: true, where it is left out."""
    background: bool | None = None
    """Answer at once; the response is made meanwhile, and read with GET."""
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    max_output_tokens: Cap | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=2**53), WHOLE] | None = None
    """Accepted: it counts calls of tools that OpenAI runs."""
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    """`auto`: what is too long for the model's window is left out, the oldest first."""
    include: list[str] | None = None
    metadata: Metadata | None = None

    # Accepted, and without meaning here.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    service_tier: str | None = None

    # Known, and not to be had here: null alone.
    prompt: None = None
    context_management: None = None
    background_options: None = None
    moderation: None = None
    image: None = None
    access_programs: None = None

    @property
    def is_stored(self) -> bool:
        return self.store is not False

    @property
    def conversation_id(self) -> str | None:
        told = self.conversation
        return told.id if isinstance(told, ConversationReference) else told
