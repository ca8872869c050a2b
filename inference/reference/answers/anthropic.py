"""Anthropic's message, and the events of its stream."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator

from inference.reference.answers.base import SOMETIMES, Answer, Usd


class TextContent(Answer):
    type: Literal["text"]
    text: str


class ThinkingContent(Answer):
    type: Literal["thinking"]
    thinking: str
    signature: str


class Caller(Answer):
    type: Literal["direct"]


class ToolUseContent(Answer):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]
    """What the model wrote, if it is an object; else that text under `INVALID_JSON`."""
    caller: Caller


ContentBlock = Annotated[TextContent | ThinkingContent | ToolUseContent, Discriminator("type")]


class Refusal(Answer):
    type: Literal["refusal"]
    category: str | None
    explanation: str | None


class ThinkingTokens(Answer):
    thinking_tokens: int


class MessageUsage(Answer):
    """Anthropic's usage, and the money: decimal dollars in strings. In `message_start` it is our
    estimate of the input, without the money."""

    input_tokens: int
    """Those not read from a cache."""
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    output_tokens: int
    """All that the model wrote, its thinking included."""
    output_tokens_details: ThinkingTokens | None
    service_tier: Literal["standard"]
    cache_creation: None
    server_tool_use: None
    inference_geo: None
    speed: None
    estimated_cost: Usd = SOMETIMES
    """The most the call could cost, which was held before it."""
    request_cost: Usd = SOMETIMES
    """What it did cost."""
    balance_remaining: Usd | None = SOMETIMES
    """What is available for the next call."""


StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class AnthropicAnswer(Answer):
    """A message of the model."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    """As you asked for it. The header `x-agentflare-model` names the model that answered."""
    content: list[ContentBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: Refusal | None
    container: None
    diagnostics: None
    usage: MessageUsage


class MessageStart(Answer):
    type: Literal["message_start"]
    message: AnthropicAnswer


class ContentBlockStart(Answer):
    type: Literal["content_block_start"]
    index: int
    content_block: ContentBlock


class TextDelta(Answer):
    type: Literal["text_delta"]
    text: str


class ThinkingDelta(Answer):
    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(Answer):
    type: Literal["signature_delta"]
    signature: str


class InputJsonDelta(Answer):
    type: Literal["input_json_delta"]
    partial_json: str


class ContentBlockDelta(Answer):
    type: Literal["content_block_delta"]
    index: int
    delta: Annotated[
        TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta, Discriminator("type")
    ]


class ContentBlockStop(Answer):
    type: Literal["content_block_stop"]
    index: int


class MessageEnd(Answer):
    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: Refusal | None
    container: None


class MessageDelta(Answer):
    type: Literal["message_delta"]
    delta: MessageEnd
    usage: MessageUsage


class MessageStop(Answer):
    type: Literal["message_stop"]


class Ping(Answer):
    type: Literal["ping"]


class TokenCount(Answer):
    input_tokens: int
    """Our estimate."""


class AnthropicModel(Answer):
    """Where the header `anthropic-version` is sent."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]
    max_input_tokens: int | None
    max_tokens: int | None
    capabilities: None
    line: None
    deprecated_at: None
    retires_at: None


class AnthropicModelList(Answer):
    """Where the header `anthropic-version` is sent: what messages can be sent to."""

    data: list[AnthropicModel]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None
