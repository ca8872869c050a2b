"""An agent's turns: beginning one, going on with one, making one again. All run on alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from agentflare.connections import given_back
from agentflare.errors import GatewayError, InvalidRequestError
from agentflare.ids import uuid7
from agents.agent_conversations.params import ToolOutput
from agents.definitions.models import Agent
from agents.tools.opening import open_tools
from agents.tools.toolbox import Toolbox
from agents.turns import event_log, leases, services
from agents.turns.background import run_in_background
from agents.turns.event_log import EventLog
from agents.turns.faces import AgentFace
from agents.turns.healing import begin_or_heal
from agents.turns.models import Turn
from agents.turns.prompt import Cut
from agents.turns.run import Ask, TurnRun
from agents.turns.selectors import all_items_of, items_of, last_items, state_of
from agents.turns.services import ConversationLockedError, NewTurn
from agents.turns.state import TurnState
from agents.turns.summaries import HEADING
from billing.admission.services import require_credit
from inference import progress
from inference.pipeline import Call
from tenants.keys.lookup import KeyRecord
from tenants.registry.schemas import tenant_schema

ENDPOINT = "agents"
_LOOK_AGAIN_S = 0.1
# A chat's parameters by an agent's.
_PARAM_NAMES = {"messages": "input", "max_completion_tokens": "params.max_output_tokens"}


class TurnNotWaitingError(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "turn_not_waiting"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"The turn does not wait for results of tools: its status is '{status}'.",
            headers={"x-should-retry": "false"},
        )


class TurnStillRunsError(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "turn_still_runs"

    def __init__(self) -> None:
        super().__init__(
            "The turn has not ended: cancel it first.", headers={"x-should-retry": "false"}
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who begins a turn: with which key, for which first call."""

    record: KeyRecord
    request_id: UUID
    cache_ttl_s: int = 0
    shrink_to_fit: bool = False

    def call(self, agent: Agent, conversation_id: UUID) -> Call:
        return Call(
            caller=self.record,
            request_id=self.request_id,
            endpoint=ENDPOINT,
            model=agent.model,
            is_stream=True,
            # Calls of one conversation are best made where its history is cached.
            affinity=conversation_id.hex,
            cache_ttl_s=self.cache_ttl_s,
            shrink_to_fit=self.shrink_to_fit,
        )


def begin_turn(
    asker: Asker,
    agent: Agent,
    conversation_id: UUID,
    items: Sequence[Mapping[str, Any]],
    *,
    metadata: Mapping[str, str],
    wait_s: float = 0.0,
    replaces: UUID | None = None,
) -> UUID:
    """It is admitted, and runs. Returns its id.

    wait_s: how long another turn of the conversation is waited for. Raises GatewayError; then
    nothing has changed; or Conversation.DoesNotExist.
    """
    code = asker.record.tenant_code
    progress.note_asked(asker.request_id, agent.model)
    toolbox = _opened(code, agent)
    state = TurnState(
        id=uuid7(), model=agent.model, conversation_id=conversation_id, agent_id=agent.pk
    )
    new = NewTurn(
        id=state.id,
        request_id=asker.request_id,
        model=agent.model,
        params={"metadata": dict(metadata)},
        items=items,
        key_id=asker.record.key_id,
        conversation_id=conversation_id,
        agent_id=agent.pk,
        replaces=replaces,
    )
    leases.take(code, state.id)
    try:
        turn = _waiting(wait_s, lambda: _in_schema(code, lambda: begin_or_heal(code, new)))
        with given_back(), tenant_schema(code):
            before = last_items(
                conversation_id, until=turn.first_position, most_messages=agent.max_messages
            )
    except BaseException:
        leases.give_back(code, state.id)
        raise
    _run(asker, agent, turn, state, toolbox, before=before, items=items)
    return state.id


def go_on(asker: Asker, agent: Agent, turn: Turn, outputs: Sequence[ToolOutput]) -> None:
    """A turn that waits goes on with the results of its tools.

    Raises GatewayError; then it waits as before.
    """
    code = asker.record.tenant_code
    progress.note_asked(asker.request_id, agent.model)
    with given_back(), tenant_schema(code):
        state = state_of(turn)
    if turn.status != Turn.Status.REQUIRES_ACTION:
        raise TurnNotWaitingError(turn.status)
    _check_outputs(state, outputs)
    toolbox = _opened(code, agent)
    results = [output.item().told() for output in outputs]
    try:
        with given_back(), tenant_schema(code), transaction.atomic():
            turn = services.resume(turn.pk, results, request_id=asker.request_id)
            before = last_items(
                turn.conversation_id,
                until=turn.first_position,
                most_messages=agent.max_messages,
            )
            items = all_items_of(turn)
            state = state_of(turn)
    except Turn.DoesNotExist:
        # Another client was faster.
        raise TurnNotWaitingError(Turn.Status.IN_PROGRESS) from None
    # Who was not the first must not hold it: it would never be taken for dead.
    try:
        leases.take(code, turn.pk)
    except BaseException:
        with given_back(), tenant_schema(code):
            services.suspend_again(turn.pk, results=len(results))
        raise
    _run(asker, agent, turn, state, toolbox, before=before, items=items, results=len(results))


def make_again(asker: Asker, agent: Agent, turn: Turn) -> UUID:
    """The last turn of a conversation once more, with the same input: nobody reads what it had
    answered any more. Returns the new one's id.

    Raises GatewayError.
    """
    code = asker.record.tenant_code
    if turn.is_active:
        raise TurnStillRunsError
    with given_back(), tenant_schema(code):
        rows = items_of(turn, is_output=False).order_by("position")
        # What came after its first output were results of its tools.
        if first := items_of(turn, is_output=True).order_by("position").first():
            rows = rows.filter(position__lt=first.position)
        items = [item.content for item in rows]
    return begin_turn(
        asker,
        agent,
        turn.conversation_id,
        items,
        metadata=turn.asked.get("metadata") or {},
        replaces=turn.pk,
    )


def _opened(code: str, agent: Agent) -> Toolbox:
    """Raises GatewayError; nobody without credit makes us ask strangers' servers."""
    tools = agent.tool_list
    if any(tool["type"] == "mcp" for tool in tools):
        require_credit(code)
    return open_tools(agent, tools)


def _run(
    asker: Asker,
    agent: Agent,
    turn: Turn,
    state: TurnState,
    toolbox: Toolbox,
    *,
    before: Sequence[dict[str, Any]],
    items: Sequence[Mapping[str, Any]],
    results: int = 0,
) -> None:
    """Admit it, and let it run alone. Raises GatewayError; then nothing has changed."""
    code = asker.record.tenant_code
    log = event_log.logs[turn.pk] = EventLog(code, turn.pk, last_number=state.next_event - 1)
    try:
        run = TurnRun(
            _ask(asker, agent, turn, toolbox.declarations()),
            state=state,
            face=AgentFace(turn.asked),
            before=before,
            items=items,
            is_kept=True,
            log=log,
            toolbox=toolbox,
            results=results,
        )
    except BaseException:
        event_log.logs.pop(turn.pk, None)
        leases.give_back(code, turn.pk)
        raise
    run.admit()
    run_in_background(run)


def _check_outputs(state: TurnState, outputs: Sequence[ToolOutput]) -> None:
    wanted = {call["call_id"] for call in state.pending_calls()}
    given = [output.call_id for output in outputs]
    for number, call_id in enumerate(given):
        if call_id not in wanted or call_id in given[:number]:
            raise InvalidRequestError(
                f"Invalid value for 'outputs[{number}].call_id': the turn waits for no result of "
                f"'{call_id}'.",
                param=f"outputs[{number}].call_id",
                code="invalid_value",
            )
    if missing := sorted(wanted - set(given)):
        raise InvalidRequestError(
            f"No output for the call '{missing[0]}': send those of all calls together.",
            param="outputs",
            code="missing_required_parameter",
        )


def _ask(asker: Asker, agent: Agent, turn: Turn, tools: Sequence[dict[str, Any]]) -> Ask:
    params = dict(agent.params)
    fields = {
        "model": agent.model,
        "max_completion_tokens": params.get("max_output_tokens"),
        **{name: params.get(name) for name in ("temperature", "top_p", "reasoning_effort")},
    }
    if tools:
        fields["tools"] = list(tools)
        fields["tool_choice"] = params.get("tool_choice")
        fields["parallel_tool_calls"] = params.get("parallel_tool_calls")
    texts = [agent.instructions]
    if agent.summary_model and turn.conversation.summary:
        texts.append(f"{HEADING}\n{turn.conversation.summary}")
    return Ask(
        call=asker.call(agent, turn.conversation_id),
        fields=fields,
        instructions="\n\n".join(filter(None, texts)) or None,
        cut=Cut(max_messages=agent.max_messages, to_window=True),
        is_strict=False,
        param_names=_PARAM_NAMES,
        max_steps=agent.max_steps,
        timeout_s=agent.turn_timeout_s,
        summary_model=agent.summary_model,
    )


def _waiting(wait_s: float, begin: Callable[[], Turn]) -> Turn:
    """Raises ConversationLockedError when it took too long."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return begin()
        except ConversationLockedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_AGAIN_S)


def _in_schema(code: str, work: Callable[[], Turn]) -> Turn:
    with given_back(), tenant_schema(code):
        return work()
