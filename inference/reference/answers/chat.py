"""chat.completion and text_completion, whole and in chunks."""

from typing import Any, Literal

from inference.reference.answers.base import SOMETIMES, Answer, Money

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class PromptDetails(Answer):
    cached_tokens: int
    """Of the prompt, read from the provider's cache."""
    audio_tokens: int


class CompletionDetails(Answer):
    reasoning_tokens: int
    """Of the completion, spent on thinking."""
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class ChatUsage(Money):
    """OpenAI's usage, and the money."""

    prompt_tokens: int
    completion_tokens: int
    """All that the model wrote, its thinking included."""
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class CalledFunction(Answer):
    name: str
    arguments: str
    """JSON, as the model wrote it: check it before you use it."""


class CalledTool(Answer):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatAnswerMessage(Answer):
    role: Literal["assistant"]
    content: str | None
    """Null where the model only calls tools."""
    refusal: str | None
    reasoning_content: str = SOMETIMES
    """What a reasoning model thought before it answered, where it tells."""
    tool_calls: list[CalledTool] = SOMETIMES


class ChatChoice(Answer):
    index: int
    message: ChatAnswerMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason
    """`stop`, `length`, `tool_calls` or `content_filter`."""


class ChatCompletion(Answer):
    id: str
    object: Literal["chat.completion"]
    created: int
    """Seconds since 1970."""
    model: str
    """As you asked for it. The header `x-agentflare-model` names the model that answered."""
    system_fingerprint: str = SOMETIMES
    choices: list[ChatChoice]
    usage: ChatUsage


class FunctionFragment(Answer):
    name: str = SOMETIMES
    arguments: str
    """The next piece: put them together."""


class ToolCallFragment(Answer):
    index: int
    """Which call the fragment belongs to."""
    id: str = SOMETIMES
    """On the first fragment of a call."""
    type: Literal["function"] = SOMETIMES
    function: FunctionFragment


class ChatDelta(Answer):
    role: Literal["assistant"] = SOMETIMES
    """On the first chunk of a choice."""
    content: str = SOMETIMES
    refusal: str | None = SOMETIMES
    reasoning_content: str = SOMETIMES
    tool_calls: list[ToolCallFragment] = SOMETIMES


class ChatChunkChoice(Answer):
    index: int
    delta: ChatDelta
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None
    """Null before the choice's last chunk."""


class ChatCompletionChunk(Answer):
    """One event of a stream, which ends in `data: [DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str = SOMETIMES
    choices: list[ChatChunkChoice]
    """Empty in the last chunk, which has the usage."""
    usage: ChatUsage | None = SOMETIMES
    """With `stream_options.include_usage` alone: null before the last chunk."""


class TextChoice(Answer):
    text: str
    index: int
    """Choices of the first prompt come first."""
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "content_filter"] | None
    """Null before a streamed choice's last chunk."""


class Completion(Answer):
    """A text completion, or one event of its stream, which ends in `data: [DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str = SOMETIMES
    choices: list[TextChoice]
    usage: ChatUsage


class CompletionChunk(Completion):
    usage: ChatUsage | None = SOMETIMES  # type: ignore[assignment]
    """With `stream_options.include_usage` alone: null before the last chunk."""
