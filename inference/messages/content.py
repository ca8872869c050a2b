"""The content blocks of Anthropic's messages, as clients send them.

What says nothing here (`cache_control`, `citations` …) may stand in them and is not read.
Kinds that need Anthropic's servers (files, PDFs, results of server tools) are refused by name.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from inference.inputs import one_of, told


class Lenient(BaseModel):
    """Clients send more than we need to know here, and more with every version."""

    model_config = ConfigDict(extra="ignore", strict=True)


def _json_type(value: Any) -> str:
    return ":list" if isinstance(value, list) else ":string"


STRING_OR_BLOCKS = Discriminator(
    _json_type,
    custom_error_type="neither_of_both",
    custom_error_message="it must be a string or an array of content blocks",
)


class TextBlock(Lenient):
    type: Literal["text"]
    text: str


# --- images -------------------------------------------------------------------------


class Base64Source(Lenient):
    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str


class UrlSource(Lenient):
    type: Literal["url"]
    url: Annotated[str, told(pattern="^[hH][tT][tT][pP][sS]?://")]


class ImageBlock(Lenient):
    type: Literal["image"]
    source: Annotated[
        Annotated[Base64Source, Tag(":base64")] | Annotated[UrlSource, Tag(":url")],
        one_of("base64", "url", what="the source of an image"),
    ]

    @property
    def url(self) -> str:
        """Where it is; a data URL for one that was sent along."""
        if isinstance(self.source, UrlSource):
            return self.source.url
        return f"data:{self.source.media_type};base64,{self.source.data}"


# --- documents ----------------------------------------------------------------------


class PlainTextSource(Lenient):
    type: Literal["text"]
    data: str


TextOrImage = Annotated[
    Annotated[TextBlock, Tag(":text")] | Annotated[ImageBlock, Tag(":image")],
    one_of("text", "image", what="a content block of a document"),
]


class BlocksSource(Lenient):
    type: Literal["content"]
    content: Annotated[
        Annotated[str, Tag(":string")] | Annotated[list[TextOrImage], Tag(":list")],
        STRING_OR_BLOCKS,
    ]


class DocumentBlock(Lenient):
    type: Literal["document"]
    source: Annotated[
        Annotated[PlainTextSource, Tag(":text")] | Annotated[BlocksSource, Tag(":content")],
        one_of("text", "content", what="the source of a document"),
    ]
    title: str | None = None
    context: str | None = None

    def inner(self) -> list[TextBlock | ImageBlock]:
        """What it consists of, in order."""
        if isinstance(self.source, PlainTextSource):
            return [TextBlock(type="text", text=self.source.data)]
        if isinstance(self.source.content, str):
            return [TextBlock(type="text", text=self.source.content)]
        return list(self.source.content)


class SearchResultBlock(Lenient):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


# --- tools --------------------------------------------------------------------------

ResultBlock = Annotated[
    Annotated[TextBlock, Tag(":text")]
    | Annotated[ImageBlock, Tag(":image")]
    | Annotated[DocumentBlock, Tag(":document")]
    | Annotated[SearchResultBlock, Tag(":search_result")],
    one_of("text", "image", "document", "search_result", what="a block of a tool's result"),
]


class ToolUseBlock(Lenient):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(Lenient):
    type: Literal["tool_result"]
    tool_use_id: str
    content: (
        Annotated[
            Annotated[str, Tag(":string")] | Annotated[list[ResultBlock], Tag(":list")],
            STRING_OR_BLOCKS,
        ]
        | None
    ) = None
    is_error: bool | None = None

    def inner(self) -> "list[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock]":
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)]
        return list(self.content or [])


# --- thoughts of earlier turns ------------------------------------------------------


class ThinkingBlock(Lenient):
    """`signature` is not read: it was ours, or belongs to another provider's model."""

    type: Literal["thinking"]
    thinking: str


class RedactedThinkingBlock(Lenient):
    """No model of ours can read it."""

    type: Literal["redacted_thinking"]


# --- messages -----------------------------------------------------------------------

Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
)
_AnyBlock = Annotated[
    Annotated[TextBlock, Tag(":text")]
    | Annotated[ImageBlock, Tag(":image")]
    | Annotated[DocumentBlock, Tag(":document")]
    | Annotated[SearchResultBlock, Tag(":search_result")]
    | Annotated[ToolUseBlock, Tag(":tool_use")]
    | Annotated[ToolResultBlock, Tag(":tool_result")]
    | Annotated[ThinkingBlock, Tag(":thinking")]
    | Annotated[RedactedThinkingBlock, Tag(":redacted_thinking")],
    one_of(
        "text",
        "image",
        "document",
        "search_result",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        what="a content block",
    ),
]
BLOCKS_BY_ROLE: dict[str, tuple[type[Lenient], ...]] = {
    "system": (TextBlock,),
    "user": (TextBlock, ImageBlock, DocumentBlock, SearchResultBlock, ToolResultBlock),
    "assistant": (TextBlock, ToolUseBlock, ThinkingBlock, RedactedThinkingBlock),
}


def _blocks_of(role: str) -> dict[str, Any]:
    """What messages of the role may hold, as the schema says it."""
    fields = [block.model_fields["type"] for block in BLOCKS_BY_ROLE[role]]
    types = [kind for field in fields for kind in get_args(field.annotation)]
    content = {"items": {"properties": {"type": {"enum": types}}}}
    return {"properties": {"role": {"const": role}, "content": content}}


class Message(Lenient):
    model_config = ConfigDict(
        json_schema_extra={"anyOf": [_blocks_of(role) for role in BLOCKS_BY_ROLE]}
    )

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        Annotated[str, Tag(":string")] | Annotated[list[_AnyBlock], Tag(":list")],
        STRING_OR_BLOCKS,
    ]

    def blocks(self) -> list[Block]:
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)]
        return list(self.content)
