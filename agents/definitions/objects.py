"""What clients read of an agent."""

from typing import Any
from uuid import UUID

from agentflare.money import format_usd
from agents.conversations.objects import uuid_of
from agents.definitions.models import Agent

# In the place of what is never shown again.
MASK = "********"


def agent_id(number: UUID) -> str:
    return f"agent_{number.hex}"


def agent_uuid(text: str) -> UUID | None:
    return uuid_of(text, "agent")


def agent_object(agent: Agent) -> dict[str, Any]:
    budget = agent.monthly_budget_nusd
    return {
        "id": agent_id(agent.pk),
        "object": "agent",
        "created_at": int(agent.created_at.timestamp()),
        "updated_at": int(agent.updated_at.timestamp()),
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "instructions": agent.instructions,
        "params": agent.params,
        "tools": [_tool(tool) for tool in agent.tool_list],
        "limits": {
            "max_messages": agent.max_messages,
            "max_steps": agent.max_steps,
            "turn_timeout_s": agent.turn_timeout_s,
        },
        "summary": {"model": agent.summary_model} if agent.summary_model else None,
        "monthly_budget": None if budget is None else format_usd(budget),
        "metadata": agent.metadata,
    }


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "headers" not in tool:
        return tool
    return {**tool, "headers": dict.fromkeys(tool["headers"], MASK)}
