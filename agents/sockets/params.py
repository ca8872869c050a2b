"""What clients send over the WebSocket of an agent."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, Tag, TypeAdapter

from agents.agent_conversations.params import (
    AgentConversationParams,
    ToolOutputsParams,
    TurnParams,
)
from agents.conversations.items import Part
from inference.inputs import one_of
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
    after: Annotated[int, Field(ge=-1), WHOLE] = -1
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


COMMANDS = {
    "conversation.create": CreateConversation,
    "turn.create": CreateTurn,
    "turn.subscribe": SubscribeTurn,
    "turn.cancel": CancelTurn,
    "turn.retry": RetryTurn,
    "turn.tool_outputs": SubmitToolOutputs,
    "ping": PingCommand,
}
Command = Annotated[
    Annotated[CreateConversation, Tag(":conversation.create")]
    | Annotated[CreateTurn, Tag(":turn.create")]
    | Annotated[SubscribeTurn, Tag(":turn.subscribe")]
    | Annotated[CancelTurn, Tag(":turn.cancel")]
    | Annotated[RetryTurn, Tag(":turn.retry")]
    | Annotated[SubmitToolOutputs, Tag(":turn.tool_outputs")]
    | Annotated[PingCommand, Tag(":ping")],
    one_of(*COMMANDS, what="a message"),
]
ADAPTER: TypeAdapter[Command] = TypeAdapter(Command)
