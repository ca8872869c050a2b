"""What clients send over the WebSocket of an agent."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, StringConstraints

from agentflare.api import MAX_VALUES, check_values, validated
from agentflare.errors import InvalidRequestError
from agents.agent_conversations.params import (
    AgentConversationParams,
    ToolOutputsParams,
    TurnParams,
)
from agents.conversations.items import Part
from inference.numbers import WHOLE

Ref = Annotated[str, StringConstraints(max_length=64)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Command(Part):
    ref: Ref | None = None
    """Yours: it comes back with the answer."""


class CreateConversation(_Command, AgentConversationParams):
    type: Literal["conversation.create"]


class CreateTurn(_Command, TurnParams):
    type: Literal["turn.create"]
    conversation: Id
    stream: None = None
    background: None = None


class SubscribeTurn(_Command):
    """Its events after one that you have seen, to the last one."""

    type: Literal["turn.subscribe"]
    conversation: Id
    turn: Id
    after: Annotated[int, Field(ge=-1, le=999_999_999), WHOLE] = -1
    """The `sequence_number` of the last event that you have seen; -1: from the first one on."""


class CancelTurn(_Command):
    type: Literal["turn.cancel"]
    conversation: Id
    turn: Id


class RetryTurn(_Command):
    type: Literal["turn.retry"]
    conversation: Id
    turn: Id


class SubmitToolOutputs(_Command, ToolOutputsParams):
    type: Literal["turn.tool_outputs"]
    conversation: Id
    turn: Id
    stream: None = None
    background: None = None


class PingCommand(_Command):
    """For browsers, which cannot send a WebSocket's own ping."""

    type: Literal["ping"]


Command = (
    CreateConversation
    | CreateTurn
    | SubscribeTurn
    | CancelTurn
    | RetryTurn
    | SubmitToolOutputs
    | PingCommand
)
COMMANDS: dict[str, type[Command]] = {
    "conversation.create": CreateConversation,
    "turn.create": CreateTurn,
    "turn.subscribe": SubscribeTurn,
    "turn.cancel": CancelTurn,
    "turn.retry": RetryTurn,
    "turn.tool_outputs": SubmitToolOutputs,
    "ping": PingCommand,
}


def read_message(body: bytes) -> dict[str, Any]:
    """Raises InvalidRequestError for what is no JSON, or has too much in it."""
    check_values(body, MAX_VALUES)
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequestError(f"The message is no JSON: {exc}.") from None
    return told if isinstance(told, dict) else {}


def read_command(body: bytes, told: Mapping[str, Any]) -> Command:
    """told: the same, read. Raises InvalidRequestError or UnknownParamError, naming the field."""
    kind = told.get("type")
    model = COMMANDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        names = ", ".join(f"'{name}'" for name in COMMANDS)
        raise InvalidRequestError(
            f"Invalid value for 'type': it takes one of {names}.",
            param="type",
            code="invalid_value",
        )
    return validated(model, body)


def ref_of(told: Mapping[str, Any]) -> str | None:
    """Of a message that is not understood otherwise."""
    ref = told.get("ref")
    return ref if isinstance(ref, str) else None
