"""What clients ask of an agent, over HTTP and over its WebSocket alike."""

import time
from typing import Any
from uuid import UUID

from agentflare.connections import given_back
from agents.agent_conversations.objects import agent_conversation_object
from agents.agent_conversations.params import AgentConversationParams, ToolOutputsParams, TurnParams
from agents.agent_conversations.reach import Reach
from agents.agent_conversations.turns import Asker, begin_turn, go_on, make_again
from agents.conversations import services as conversations
from agents.conversations.items import Message, require_readable
from agents.definitions.models import Agent
from agents.turns import cancels, services
from agents.turns.healing import heal_if_dead, tell_end
from agents.turns.models import Turn
from tenants.registry.schemas import tenant_schema

_CANCEL_WAIT_S = 5.0


def create_conversation(
    tenant_code: str, reach: Reach, params: AgentConversationParams
) -> dict[str, Any]:
    """The conversation, as it is told. A repeat makes another. Raises GatewayError."""
    items = params.items or []
    require_readable(items, param="items")
    reach.require_own_words(items, param="items")
    reach.require_all_conversations()
    end_user = reach.token.end_user if reach.token else params.end_user
    with given_back(), tenant_schema(tenant_code):
        made = conversations.create_conversation(
            metadata=params.metadata or {},
            items=[item.told() for item in items],
            agent_id=reach.agent().pk,
            end_user=end_user or "",
            title=params.title or "",
        )
    return agent_conversation_object(made, cost_nusd=0)


def create_turn(asker: Asker, reach: Reach, conversation: str, params: TurnParams) -> UUID:
    """It is admitted, and runs. Returns its id. Raises GatewayError; then nothing has changed."""
    given = params.input
    items = [Message(role="user", content=given)] if isinstance(given, str) else given
    require_readable(list(items), param="input")
    reach.require_own_words(items, param="input")
    with given_back(), tenant_schema(asker.record.tenant_code):
        found = reach.conversation(conversation)
    return begin_turn(
        asker,
        _agent(found.agent),
        found.pk,
        [item.told() for item in items],
        metadata=params.metadata or {},
        wait_s=params.wait_s if params.if_busy == "wait" else 0,
    )


def find_turn(tenant_code: str, reach: Reach, conversation: str, given: str) -> Turn:
    """With its conversation and agent. Raises NotFoundError."""
    with given_back(), tenant_schema(tenant_code):
        return reach.turn(conversation, given)


def submit_tool_outputs(asker: Asker, turn: Turn, params: ToolOutputsParams) -> None:
    """The turn goes on. A repeat is refused: it does not wait any more. Raises GatewayError."""
    require_readable([output.item() for output in params.outputs], param="outputs")
    go_on(asker, _agent(turn.conversation.agent), turn, params.outputs)


def retry_turn(asker: Asker, turn: Turn) -> UUID:
    """As make_again."""
    return make_again(asker, _agent(turn.conversation.agent), turn)


def cancel_turn(tenant_code: str, turn: Turn) -> None:
    """Returns when it has ended, or after some seconds. What came until then is kept, and charged.
    A repeat changes nothing. Raises RedisDownError."""
    deadline = time.monotonic() + _CANCEL_WAIT_S
    while True:
        with given_back(), tenant_schema(tenant_code):
            turn = heal_if_dead(tenant_code, Turn.objects.get(pk=turn.pk))
            if services.cancel_waiting(turn.pk):
                tell_end(tenant_code, Turn.objects.get(pk=turn.pk))
                return
        if not turn.is_running or time.monotonic() > deadline:
            return
        cancels.cancel(turn.pk)
        time.sleep(0.05)


def _agent(agent: Agent | None) -> Agent:
    """Of a conversation that was found as an agent's."""
    assert agent is not None
    return agent
