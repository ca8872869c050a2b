"""OpenAI's response object: all fields that Open Responses requires, nulls included."""

from typing import Any
from uuid import UUID

from agentflare.money import format_usd
from agents.conversations.objects import uuid_of
from agents.turns.models import Turn
from agents.turns.state import TurnState

# OpenAI knows none of ours.
_STATUS = {
    Turn.Status.INTERRUPTED: "failed",
    Turn.Status.REQUIRES_ACTION: "completed",
}
_INTERRUPTED = {
    "code": "server_error",
    "message": "The process that made this response has died. What had come until then is kept "
    "here, and charged.",
}


def response_id(number: UUID) -> str:
    return f"resp_{number.hex}"


def response_uuid(text: str) -> UUID | None:
    return uuid_of(text, "resp")


def response_object(state: TurnState, asked: dict[str, Any]) -> dict[str, Any]:
    """asked: as `responses.requests.asked_of` makes it."""
    is_completed = state.status == Turn.Status.COMPLETED
    reason = state.incomplete_reason
    return {
        "id": response_id(state.id),
        "object": "response",
        "created_at": int(state.created_at),
        "completed_at": int(state.finished_at) if is_completed and state.finished_at else None,
        "status": _STATUS.get(Turn.Status(state.status), str(state.status)),
        "error": _error(state),
        "incomplete_details": {"reason": reason} if reason else None,
        "model": state.model,
        "output": state.output,
        **asked,
        "usage": usage_object(state) if state.has_usage and state.finished_at else None,
    }


def _error(state: TurnState) -> dict[str, Any] | None:
    return _INTERRUPTED if state.status == Turn.Status.INTERRUPTED else state.error


def usage_object(state: TurnState) -> dict[str, Any]:
    """OpenAI's usage, and what it cost. Money is a string: JavaScript loses large integers."""
    usage = state.usage
    told: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "request_cost": format_usd(state.cost_nusd),
    }
    if state.told is not None:
        told["estimated_cost"] = state.told.estimated_cost
        told["balance_remaining"] = state.told.balance_remaining
    return told
