"""The bodies of /v1/agents/{agent_id}/conversations and of what lies below."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from agents.client_tokens.views import EndUser
from agents.conversations.items import (
    MAX_ITEMS,
    NO_NUL,
    FunctionCallOutput,
    InputItem,
    Metadata,
    OutputPart,
    Part,
)
from inference.numbers import WHOLE

Title = Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL)]
MAX_WAIT_S = 60


def text_or_list(value: object) -> str:
    return ":items" if isinstance(value, list) else ":text"


class AgentConversationParams(Part):
    end_user: EndUser | None = None
    """Your user's id: whom client tokens let in. Where a client token calls, it is the token's."""
    title: Title | None = None
    items: Annotated[list[InputItem], Field(max_length=MAX_ITEMS)] | None = None
    """What it begins with, the oldest first."""
    metadata: Metadata | None = None


class AgentConversationUpdateParams(Part):
    """What is left out stays."""

    title: Title | None = None
    metadata: Metadata | None = None
    """In place of what was there; null: none."""


class MessagesParams(Part):
    items: Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS)]
    """Added at the end, in this order, with nobody's in between; the agent is not asked."""


class TurnParams(Part):
    input: Annotated[
        Annotated[str, Tag(":text")]
        | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS), Tag(":items")],
        Discriminator(text_or_list),
    ]
    """A text, or items, the oldest first."""
    stream: bool | None = None
    """Its events as they come; it goes on when you leave."""
    background: bool | None = None
    """Answer at once; read the turn later."""
    if_busy: Literal["refuse", "wait"] = "refuse"
    """Where another turn is under way in this conversation: 409, or wait for its end."""
    wait_s: Annotated[int, Field(ge=1, le=MAX_WAIT_S), WHOLE] = 30
    """How long to wait at most."""
    metadata: Metadata | None = None


class ToolOutput(Part):
    call_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    output: Annotated[
        Annotated[str, Tag(":text")]
        | Annotated[list[OutputPart], Field(min_length=1), Tag(":items")],
        Discriminator(text_or_list),
    ]
    """What the model reads: a text, or parts."""

    def item(self) -> FunctionCallOutput:
        return FunctionCallOutput(
            type="function_call_output", call_id=self.call_id, output=self.output
        )


class ToolOutputsParams(Part):
    outputs: Annotated[list[ToolOutput], Field(min_length=1, max_length=64)]
    """One for each call of `required_action`."""
    stream: bool | None = None
    background: bool | None = None


class RetryParams(Part):
    stream: bool | None = None
    background: bool | None = None
