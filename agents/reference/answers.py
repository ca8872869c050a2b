"""What answers of conversations, responses and agents hold, for the API's reference."""

from typing import Any, Literal

from inference.reference.answers.base import SOMETIMES, Answer, Usd


class Conversation(Answer):
    id: str
    object: Literal["conversation"]
    created_at: int
    """Seconds since 1970."""
    metadata: dict[str, str]
    forked_from: str = SOMETIMES
    """The `id` of the conversation that it began as a copy of."""


class ConversationDeleted(Answer):
    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ConversationItem(Answer):
    """As it was sent: a message, a tool's call or its result, or reasoning."""

    id: str
    type: Literal["message", "function_call", "function_call_output", "reasoning"]
    status: str = SOMETIMES
    role: str = SOMETIMES
    """Of a message."""
    content: list[dict[str, Any]] = SOMETIMES
    """Of a message, and of reasoning."""


class ConversationItemList(Answer):
    """An empty page has empty ids."""

    object: Literal["list"]
    data: list[ConversationItem]
    first_id: str
    last_id: str
    has_more: bool


class ResponseUsage(Answer):
    input_tokens: int
    input_tokens_details: dict[str, int]
    """`cached_tokens`, and `cache_write_tokens`, which is 0."""
    output_tokens: int
    output_tokens_details: dict[str, int]
    """`reasoning_tokens`."""
    total_tokens: int
    request_cost: Usd
    """What it cost, in dollars."""
    estimated_cost: Usd = SOMETIMES
    """The most it could cost."""
    balance_remaining: Usd | None = SOMETIMES


class Response(Answer):
    """All that Open Responses requires is there, nulls included."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    model: str
    output: list[ConversationItem]
    """Messages, calls of functions, and what the model thought."""
    usage: ResponseUsage | None
    """null until it has ended."""
    previous_response_id: str | None
    conversation: dict[str, Any] | None
    instructions: str | None
    tools: list[dict[str, Any]]
    tool_choice: Any
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: dict[str, Any]
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: dict[str, Any]
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: dict[str, str]
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None


class ResponseEvent(Answer):
    """Named by its type, numbered without a gap; the fields are those of OpenAI's events."""

    type: str
    sequence_number: int
    response: Response = SOMETIMES
    """Of `response.created`, `response.in_progress`, and of the last one."""
    output_index: int = SOMETIMES
    item_id: str = SOMETIMES
    content_index: int = SOMETIMES
    delta: str = SOMETIMES
    item: ConversationItem = SOMETIMES
    part: dict[str, Any] = SOMETIMES


class ResponseDeleted(Answer):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class AgentObject(Answer):
    id: str
    object: Literal["agent"]
    created_at: int
    updated_at: int
    name: str
    description: str
    model: str
    instructions: str
    params: dict[str, Any]
    tools: list[dict[str, Any]]
    """Headers are shown as `********`."""
    limits: dict[str, int]
    summary: dict[str, str] | None
    monthly_budget: Usd | None
    metadata: dict[str, str]
    tool_secret: str = SOMETIMES
    """What requests to its HTTP tools are signed with (Standard Webhooks). Told once."""


class AgentList(Answer):
    """An empty page has empty ids."""

    object: Literal["list"]
    data: list[AgentObject]
    first_id: str
    last_id: str
    has_more: bool


class AgentDeleted(Answer):
    id: str
    object: Literal["agent.deleted", "agent.conversation.deleted"]
    deleted: Literal[True]


class ToolSecret(Answer):
    id: str
    object: Literal["agent.tool_secret"]
    tool_secret: str


class ClientTokenObject(Answer):
    object: Literal["agent.client_token"]
    token: str
    expires_at: int
    agent_id: str
    conversation_id: str | None
    end_user: str


class AgentConversationObject(Answer):
    id: str
    object: Literal["agent.conversation"]
    created_at: int
    metadata: dict[str, str]
    agent_id: str
    end_user: str
    title: str
    active_turn: str | None
    """The turn that is under way, or waits."""
    cost: Usd
    """What its turns have cost."""
    forked_from: str = SOMETIMES


class AgentConversationList(Answer):
    """An empty page has empty ids."""

    object: Literal["list"]
    data: list[AgentConversationObject]
    first_id: str
    last_id: str
    has_more: bool


class TurnStep(Answer):
    request_id: str
    """The call's id in the usage records."""
    cost: Usd | None
    """null until it is known."""


class TurnObject(Answer):
    id: str
    object: Literal["agent.turn"]
    agent_id: str
    conversation_id: str
    status: Literal[
        "in_progress",
        "requires_action",
        "completed",
        "incomplete",
        "failed",
        "cancelled",
        "interrupted",
    ]
    """`interrupted`: our process has died; what had come is kept and charged."""
    model: str
    created_at: int
    finished_at: int | None
    output: list[ConversationItem]
    required_action: dict[str, Any] | None
    """The calls of tools that your program makes."""
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: dict[str, int]
    cost: Usd
    steps: list[TurnStep]
    """Its calls of the model."""
    metadata: dict[str, str]


class TurnList(Answer):
    """An empty page has empty ids."""

    object: Literal["list"]
    data: list[TurnObject]
    first_id: str
    last_id: str
    has_more: bool


class TurnEvent(Answer):
    """`turn.*`, with the turn; or one of OpenAI's `response.*` events of its output."""

    type: str
    sequence_number: int
    turn_id: str
    conversation_id: str
    turn: TurnObject = SOMETIMES
    output_index: int = SOMETIMES
    item_id: str = SOMETIMES
    content_index: int = SOMETIMES
    delta: str = SOMETIMES
    item: ConversationItem = SOMETIMES
