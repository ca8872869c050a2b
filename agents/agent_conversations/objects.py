"""What clients read of an agent's conversations and turns."""

from typing import Any
from uuid import UUID

from agentflare.money import format_usd
from agents.conversations.models import Conversation
from agents.conversations.objects import conversation_object, uuid_of
from agents.definitions.objects import agent_id
from agents.turns.models import Turn
from agents.turns.state import TurnState

_INTERRUPTED = {
    "code": "turn_interrupted",
    "message": "The process that worked at this turn has died. What had come until then is kept "
    "here, and charged. Make it again with /retry.",
}


def turn_id(number: UUID) -> str:
    return f"turn_{number.hex}"


def turn_uuid(text: str) -> UUID | None:
    return uuid_of(text, "turn")


def agent_conversation_object(conversation: Conversation, *, cost_nusd: int) -> dict[str, Any]:
    assert conversation.agent_id is not None
    active = conversation.active_turn
    return {
        **conversation_object(conversation),
        "object": "agent.conversation",
        "agent_id": agent_id(conversation.agent_id),
        "end_user": conversation.end_user,
        "title": conversation.title,
        "active_turn": turn_id(active) if active else None,
        "cost": format_usd(cost_nusd),
    }


def turn_object(state: TurnState, asked: dict[str, Any]) -> dict[str, Any]:
    """asked: its metadata. Nulls stand where there is nothing."""
    assert state.agent_id is not None
    assert state.conversation_id is not None
    is_interrupted = state.status == Turn.Status.INTERRUPTED
    reason = state.incomplete_reason
    return {
        "id": turn_id(state.id),
        "object": "agent.turn",
        "agent_id": agent_id(state.agent_id),
        "conversation_id": f"conv_{state.conversation_id.hex}",
        "status": str(state.status),
        "model": state.model,
        "created_at": int(state.created_at),
        "finished_at": int(state.finished_at) if state.finished_at else None,
        "output": state.output,
        "required_action": _required_action(state),
        "error": _INTERRUPTED if is_interrupted else state.error,
        "incomplete_details": {"reason": reason} if reason else None,
        "usage": _usage(state),
        "cost": format_usd(state.cost_nusd),
        "steps": [_step(step) for step in state.steps],
        "metadata": asked.get("metadata") or {},
    }


def _required_action(state: TurnState) -> dict[str, Any] | None:
    if state.status != Turn.Status.REQUIRES_ACTION:
        return None
    return {"type": "submit_tool_outputs", "tool_calls": state.pending_calls()}


def _usage(state: TurnState) -> dict[str, Any]:
    usage = state.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "cached_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    """A call of a model: /v1/usage/records has it under this id, once it is settled."""
    cost = step.get("cost_nusd")
    return {
        "request_id": f"req_{step['request_id']}",
        "cost": None if cost is None else format_usd(cost),
    }
