"""What a caller may touch of an agent: all with a key, an end user's part with a client token.

Of everything else it is said that it is not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agentflare.errors import InvalidRequestError, NotFoundError
from agents.agent_conversations.objects import turn_uuid
from agents.client_tokens.tokens import ClientToken
from agents.conversations.items import InputItem, Message
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import uuid_of
from agents.definitions.models import Agent
from agents.definitions.objects import agent_uuid
from agents.turns.models import Turn


@dataclass(frozen=True, slots=True)
class Reach:
    """agent_id: as the caller names it. token: None: a key. has_fields: whether conversations and
    turns are named by fields of a message, which errors tell, rather than by an address.

    All is found in the tenant's schema, by one statement where it is there. Raises NotFoundError.
    """

    agent_id: str
    token: ClientToken | None = None
    has_fields: bool = False

    def agent(self) -> Agent:
        number = self._agent_uuid()
        found = Agent.objects.filter(pk=number).first() if number else None
        if found is None:
            raise self._not_found("agent", self.agent_id)
        return found

    def conversation(self, given: str) -> Conversation:
        """With its agent."""
        agent, number = self._agent_uuid(), uuid_of(given, "conv")
        rows = Conversation.objects.select_related("agent")
        found = None
        if agent and number:
            found = rows.filter(pk=number, agent=agent, is_hidden=False).first()
        if found is None or not self._may_read(found):
            self.agent()
            raise self._not_found("conversation", given)
        return found

    def turn(self, conversation: str, given: str) -> Turn:
        """With its conversation and agent."""
        agent, of, number = self._agent_uuid(), uuid_of(conversation, "conv"), turn_uuid(given)
        found = None
        if agent and of and number:
            rows = Turn.objects.select_related("conversation__agent")
            found = rows.filter(
                pk=number, agent=agent, conversation=of, conversation__agent=agent
            ).first()
        if found is None or not self._may_read(found.conversation):
            self.conversation(conversation)
            raise self._not_found("turn", given)
        return found

    def require_all_conversations(self) -> None:
        if self.token is not None and self.token.conversation_id is not None:
            raise NotFoundError(
                "This client token is for one conversation.", code="not_for_client_tokens"
            )

    def require_own_words(self, items: Sequence[InputItem], *, param: str) -> None:
        """Whoever has a client token speaks as a user: the instructions, what the agent has said
        and what its tools have answered are the program's. Raises InvalidRequestError."""
        if self.token is None:
            return
        for number, item in enumerate(items):
            if not isinstance(item, Message):
                raise InvalidRequestError(
                    f"Invalid value for '{param}[{number}].type': a client token sends messages.",
                    param=f"{param}[{number}].type",
                    code="invalid_value",
                )
            if item.role != "user":
                raise InvalidRequestError(
                    f"Invalid value for '{param}[{number}].role': a client token speaks as 'user'.",
                    param=f"{param}[{number}].role",
                    code="invalid_value",
                )

    def _agent_uuid(self) -> UUID | None:
        number = agent_uuid(self.agent_id)
        is_theirs = self.token is None or number == self.token.agent_id
        return number if is_theirs else None

    def _may_read(self, conversation: Conversation) -> bool:
        return self.token is None or self.token.may_read(
            conversation_id=conversation.pk, end_user=conversation.end_user
        )

    def _not_found(self, kind: str, given: str) -> NotFoundError:
        return NotFoundError(
            f"{kind.capitalize()} with id '{given}' not found.",
            param=kind if self.has_fields and kind != "agent" else None,
            code=f"{kind}_not_found",
        )


def as_not_found(exc: Exception) -> Exception:
    """What was deleted while it was worked at is not there; all else stays as it is."""
    for model in (Agent, Conversation, Turn, Item):
        if isinstance(exc, model.DoesNotExist):
            name = model.__name__.lower()
            return NotFoundError(f"There is no such {name}.", code=f"{name}_not_found")
    return exc
