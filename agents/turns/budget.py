"""What an agent's turns may cost in a month: reserved before a call, and spent after it.

All in the tenant's schema, which the caller is in. Agents without a budget are not counted.
"""

from datetime import UTC, date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from agentflare.errors import CreditError
from agentflare.money import format_usd
from agents.definitions.models import Agent
from agents.turns.models import RUNNING, Turn, TurnLostError


class AgentBudgetError(CreditError):
    """What the agent may spend in this month does not pay for the call."""

    code = "agent_budget_exceeded"

    def __init__(self, agent: Agent, *, needed_nusd: int) -> None:
        budget = agent.monthly_budget_nusd or 0
        left_nusd = max(0, budget - _spent(agent))
        super().__init__(
            f"The agent's budget of ${format_usd(budget)} for this month has "
            f"${format_usd(left_nusd)} left, and this call may cost ${format_usd(needed_nusd)}. "
            "Raise its 'monthly_budget', or wait for the next month.",
            headers={"x-should-retry": "false"},
            available_nusd=left_nusd,
        )


def require_some(agent_id: UUID) -> None:
    """Before anything is asked for. Raises AgentBudgetError where nothing is left."""
    agent = Agent.objects.filter(pk=agent_id, monthly_budget_nusd__isnull=False).first()
    if agent and _spent(agent) + _reserved(agent) >= (agent.monthly_budget_nusd or 0):
        raise AgentBudgetError(agent, needed_nusd=1)


@transaction.atomic
def reserve(agent_id: UUID, turn_id: UUID, *, amount_nusd: int) -> bool:
    """For a call of a running turn. Whether it was; not where the agent has no budget.

    Raises AgentBudgetError, or TurnLostError for a turn that was ended or deleted.
    """
    # Turns are locked before their agents, by everybody.
    turns = Turn.objects.select_for_update().filter(pk=turn_id, status__in=RUNNING)
    if turns.first() is None:
        raise TurnLostError(turn_id.hex)
    agent = Agent.objects.select_for_update().filter(pk=agent_id).first()
    if agent is None or agent.monthly_budget_nusd is None:
        return False
    if _spent(agent) + _reserved(agent, but=turn_id) + amount_nusd > agent.monthly_budget_nusd:
        raise AgentBudgetError(agent, needed_nusd=amount_nusd)
    Turn.objects.filter(pk=turn_id).update(reserved_nusd=amount_nusd)
    return True


def spend(agent_id: UUID, *, cost_nusd: int) -> None:
    """In the transaction in which the turn's reservation ends, with the turn locked."""
    agent = Agent.objects.select_for_update().filter(pk=agent_id).first()
    if agent is not None:
        spent = _spent(agent) + cost_nusd
        Agent.objects.filter(pk=agent_id).update(spent_nusd=spent, spent_month=_this_month())


def _reserved(agent: Agent, *, but: UUID | None = None) -> int:
    """What its turns may cost yet. A turn that is deleted reserves nothing any more."""
    turns = Turn.objects.filter(agent=agent, reserved_nusd__gt=0)
    if but is not None:
        turns = turns.exclude(pk=but)
    total: int = turns.aggregate(total=Sum("reserved_nusd", default=0))["total"]
    return total


def _spent(agent: Agent) -> int:
    return agent.spent_nusd if agent.spent_month == _this_month() else 0


def _this_month() -> date:
    return datetime.now(UTC).date().replace(day=1)
