"""Changing agents. All in the tenant's schema, which the caller is in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from agentflare import secrets
from agentflare.errors import InvalidRequestError
from agentflare.money import parse_usd
from agentflare.outside.request import OutsideError, Target
from agents.definitions.models import MAX_MESSAGES, MAX_STEPS, TURN_TIMEOUT_S, Agent
from agents.definitions.objects import MASK
from agents.definitions.params import (
    AgentLimits,
    AgentMcpTool,
    AgentParams,
    AgentTool,
    AgentUpdateParams,
)
from agents.turns import cancels
from tenants.webhooks import signing

PURPOSE = "agent-tools"
MAX_AGENTS = 1_000
# Headers of a request to a tool that are not the tenant's to choose.
_OURS = {
    *("host", "connection", "content-length", "content-type", "transfer-encoding", "accept"),
    *("accept-encoding", "user-agent", "expect", "te", "trailer", "upgrade"),
    *("mcp-session-id", "mcp-protocol-version"),
}


@transaction.atomic
def create_agent(params: AgentParams) -> tuple[Agent, str]:
    """The agent, and the secret that requests to its tools are signed with: shown once.

    Raises InvalidRequestError.
    """
    if Agent.objects.count() >= MAX_AGENTS:
        raise InvalidRequestError(
            f"A workspace has at most {MAX_AGENTS} agents. Delete one that nobody uses.",
            code="too_many_agents",
        )
    secret = signing.make_secret()
    agent = Agent(tool_secret=secrets.encrypt(secret, purpose=PURPOSE))
    _apply(agent, params)
    agent.save()
    return agent, secret


@transaction.atomic
def update_agent(agent_id: UUID, params: AgentUpdateParams) -> Agent:
    """What is given takes the place of what was there. Turns under way go on as they began.

    Raises Agent.DoesNotExist or InvalidRequestError.
    """
    agent = Agent.objects.select_for_update().get(pk=agent_id)
    _apply(agent, params)
    agent.save()
    return agent


def new_tool_secret(agent_id: UUID) -> str:
    """In place of the former, at once. Raises Agent.DoesNotExist."""
    secret = signing.make_secret()
    encrypted = secrets.encrypt(secret, purpose=PURPOSE)
    if not Agent.objects.filter(pk=agent_id).update(tool_secret=encrypted):
        raise Agent.DoesNotExist
    return secret


@transaction.atomic
def delete_agent(agent_id: UUID) -> bool:
    """With its conversations; turns that run are ended. Whether it was there.

    What it has cost stays in the ledger."""
    agent = Agent.objects.filter(pk=agent_id).first()
    if agent is None:
        return False
    # Conversations are locked before their turns, and those before their agent, by everybody.
    locked = agent.conversation_set.select_for_update().order_by("pk")
    cancels.cancel_all(list(locked.values_list("active_turn", flat=True)))
    list(agent.turn_set.select_for_update().order_by("pk").values_list("pk", flat=True))
    count, _ = Agent.objects.filter(pk=agent_id).delete()
    return bool(count)


def open_headers(tool: Mapping[str, Any]) -> dict[str, str]:
    """A tool's headers as they are sent. Raises ForeignSecretError."""
    return {
        name: secrets.decrypt(value, purpose=PURPOSE)
        for name, value in tool.get("headers", {}).items()
    }


@transaction.atomic
def renew_secrets(renewal: secrets.Renewal) -> None:
    """Bring the tenant's secrets under SECRET_KEY; safe to run twice. In its schema."""
    for agent in Agent.objects.select_for_update().order_by("pk"):
        tool_secret = renewal.renew(agent.tool_secret, purpose=PURPOSE)
        tools = [_renewed_headers(tool, renewal) for tool in agent.tool_list]
        if tool_secret != agent.tool_secret or tools != agent.tool_list:
            kept = orjson.dumps(tools).decode()
            Agent.objects.filter(pk=agent.pk).update(tool_secret=tool_secret, tools=kept)


def _renewed_headers(tool: Mapping[str, Any], renewal: secrets.Renewal) -> dict[str, Any]:
    if "headers" not in tool:
        return dict(tool)
    headers = {
        name: renewal.renew(value, purpose=PURPOSE) for name, value in tool["headers"].items()
    }
    return {**tool, "headers": headers}


def _apply(agent: Agent, params: AgentParams | AgentUpdateParams) -> None:
    given = params.model_fields_set
    for name in ("name", "model", "description", "instructions"):
        if name in given and (value := getattr(params, name)) is not None:
            setattr(agent, name, value)
    for name in ("description", "instructions"):
        if name in given and getattr(params, name) is None:
            setattr(agent, name, "")
    if "params" in given:
        agent.params = params.params.model_dump(exclude_none=True) if params.params else {}
    if "tools" in given:
        agent.tools = _kept_tools(params.tools or [], before=agent.tool_list)
    if "limits" in given:
        _apply_limits(agent, params.limits or AgentLimits())
    if "summary" in given:
        agent.summary_model = params.summary.model if params.summary else ""
    if "monthly_budget" in given:
        agent.monthly_budget_nusd = _budget(params.monthly_budget)
    if "metadata" in given:
        agent.metadata = params.metadata or {}


def _apply_limits(agent: Agent, limits: AgentLimits) -> None:
    agent.max_messages = limits.max_messages or MAX_MESSAGES
    agent.max_steps = limits.max_steps or MAX_STEPS
    agent.turn_timeout_s = limits.turn_timeout_s or TURN_TIMEOUT_S


def _budget(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        budget = parse_usd(text)
        if not 0 <= budget < 2**63:
            raise ValueError("it must be between 0 and 9,000,000,000 dollars")
        return budget
    except ValueError as exc:
        raise InvalidRequestError(
            f"Invalid value for 'monthly_budget': {exc}.",
            param="monthly_budget",
            code="invalid_value",
        ) from None


def _kept_tools(tools: Sequence[AgentTool], *, before: Sequence[Mapping[str, Any]]) -> str:
    names = [getattr(tool, "name", None) or getattr(tool, "server_label", "") for tool in tools]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InvalidRequestError(
                f"Invalid value for 'tools[{number}]': there is another tool named '{name}'.",
                param=f"tools[{number}]",
                code="invalid_value",
            )
    old = {_address(tool): tool for tool in before}
    return orjson.dumps(list(_sealed(tools, old))).decode()


def _sealed(
    tools: Sequence[AgentTool], old: Mapping[Any, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """As they are kept: with encrypted headers."""
    for number, tool in enumerate(tools):
        kept = tool.model_dump(exclude_none=True)
        url_field = "server_url" if isinstance(tool, AgentMcpTool) else "url"
        if url := kept.get(url_field):
            _check_url(url, param=f"tools[{number}].{url_field}")
            _check_headers(kept["headers"], param=f"tools[{number}].headers")
            former = old.get(_address(kept), {}).get("headers", {})
            kept["headers"] = {
                name: _seal(value, former.get(name)) for name, value in kept["headers"].items()
            }
        yield kept


def _check_headers(headers: Mapping[str, str], *, param: str) -> None:
    for name in headers:
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise InvalidRequestError(
                f"Invalid value for '{param}': the header {name} is set by us.",
                param=param,
                code="invalid_value",
            )


def _seal(value: str, former: str | None) -> str:
    if value == MASK and former is not None:
        return former
    return secrets.encrypt(value, purpose=PURPOSE)


def _address(tool: Mapping[str, Any]) -> Any:
    """A secret goes on only with the address that it was given for."""
    name = tool.get("name") or tool.get("server_label")
    return tool["type"], name, tool.get("url") or tool.get("server_url")


def _check_url(url: str, *, param: str) -> None:
    """Where its host leads is looked at when it is called: that may change."""
    try:
        Target.of_private(url)
    except OutsideError as exc:
        raise InvalidRequestError(
            f"Invalid value for '{param}': {exc}", param=param, code="invalid_value"
        ) from None
