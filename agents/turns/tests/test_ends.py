"""How turns end when the stores fail, when nobody works at them, and what they have cost then."""

import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.core.cache import cache
from django.db import OperationalError
from redis import exceptions

from agentflare import secrets
from agentflare.ids import uuid7
from agentflare.partitions import partition_of
from agentflare.redis_store import get_redis
from agents.agent_conversations.params import ToolOutput
from agents.agent_conversations.turns import Asker, go_on
from agents.conversations import services as conversations
from agents.conversations.models import Conversation, Item
from agents.definitions.models import Agent
from agents.turns import budget, cancels, event_log, healing, leases, services
from agents.turns.event_log import Ends, Entry
from agents.turns.faces import AgentFace, ResponseFace
from agents.turns.models import Turn, TurnLostError
from agents.turns.prompt import Cut
from agents.turns.run import Ask, TurnRun
from agents.turns.state import TurnState
from agents.turns.tests.test_storage import message
from inference.chat.events import Delta, Finish, Usage
from inference.pipeline import Call
from tenants.keys.lookup import KeyRecord
from tenants.registry.schemas import tenant_schema

COST_NUSD, RESERVED_NUSD = 1_000, 5_000


class Captured:
    cost_nusd = COST_NUSD
    available_nusd = None


class Event:
    input_tokens, cached_input_tokens, output_tokens, reasoning_tokens = 1, 0, 1, 0


class Chat:
    """A call of a model that has been made, and its answer. It is its own meter and hold."""

    def __init__(self, call: Call, events: list[Any]) -> None:
        self.call, self.answer = call, events
        self.usage = Usage()
        self.meter = self.hold = self.admitted = self
        self.captured = Captured
        self.event = Event

    def told(self) -> None:
        return None

    def start(self) -> None: ...

    def close(self) -> None: ...

    def client_left(self) -> None: ...

    def whole(self) -> list[Any]:
        return self.answer

    def events(self) -> Any:
        yield from self.answer


def new(**fields: Any) -> services.NewTurn:
    given = {"params": {}, "items": [message("q")], "key_id": "k", "model": "m", **fields}
    return services.NewTurn(id=uuid7(), request_id=uuid7(), **given)


def an_agent() -> Agent:
    secret = secrets.encrypt("whsec_x", purpose="agent-tools")
    return Agent.objects.create(name="a", model="m", tool_secret=secret, monthly_budget_nusd=10**9)


def agents_turn() -> tuple[Agent, Turn]:
    agent = an_agent()
    conversation = conversations.create_conversation(metadata={}, agent_id=agent.pk)
    turn = services.begin(new(agent_id=agent.pk, conversation_id=conversation.pk))
    return agent, turn


def run_of(code: str, turn: Turn, answer: list[Any]) -> TurnRun:
    steps = orjson.loads(turn.steps)
    call = Call(
        caller=KeyRecord(code, "k", "k"),
        request_id=UUID(hex=steps[0]["request_id"]),
        endpoint="responses",
        model="m",
    )
    state = TurnState(
        id=turn.pk,
        model="m",
        conversation_id=turn.conversation_id,
        agent_id=turn.agent_id,
        steps=steps,
    )
    run = TurnRun(
        Ask(call=call, fields={}, instructions=None, cut=Cut(100, to_window=True)),
        state=state,
        face=AgentFace({}) if turn.agent_id else ResponseFace({}),
        before=[],
        items=[],
        is_kept=True,
    )
    run._chat = Chat(call, answer)  # type: ignore[assignment]
    leases.take(code, turn.pk)
    return run


def expect_over(code: str, turn: Turn, status: str) -> Turn:
    with tenant_schema(code):
        found = Turn.objects.get(pk=turn.pk)
        assert found.status == status
        assert Conversation.objects.get(pk=turn.conversation_id).active_turn is None
    assert (code, turn.pk) not in leases._held
    assert turn.pk not in cancels._running
    return found


def spent(agent: Agent) -> int:
    agent.refresh_from_db()
    return agent.spent_nusd


def reserved() -> int:
    return sum(Turn.objects.values_list("reserved_nusd", flat=True))


# --- what cannot be kept ------------------------------------------------------------


@pytest.mark.parametrize("how", ["whole", "events"])
def test_an_answer_of_any_size_is_kept(acme: Any, how: str) -> None:
    one = {"token": "abcdefgh", "logprob": -1.2, "bytes": [100] * 8}
    logprobs = {"content": [{**one, "top_logprobs": [one] * 20}]}
    answer = [Delta(content="abcdefgh", logprobs=logprobs)] * 2_600 + [Finish(0, "stop")]
    with tenant_schema(acme.code):
        turn = services.begin(new())
    run = run_of(acme.code, turn, answer)
    run.whole() if how == "whole" else list(run.events())
    expect_over(acme.code, turn, "completed")


def test_a_turn_ends_in_a_workspace_that_is_full(acme: Any, settings: Any) -> None:
    with tenant_schema(acme.code):
        ends, left = services.begin(new()), services.begin(new())
    settings.STORED_BYTES_MOST = 100
    cache.clear()
    list(run_of(acme.code, ends, [Finish(0, "stop")]).events())
    expect_over(acme.code, ends, "completed")
    with tenant_schema(acme.code):
        assert healing.heal(acme.code, left.pk)
    expect_over(acme.code, left, "interrupted")


def test_a_turn_whose_end_cannot_be_kept_is_let_go(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenant_schema(acme.code):
        turn = services.begin(new())
    run = run_of(acme.code, turn, [Finish(0, "stop")])

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(services, "save", fails)
    assert [event["type"] for event in run.events()][-1] == "response.failed"
    assert (acme.code, turn.pk) not in leases._held
    monkeypatch.undo()
    with tenant_schema(acme.code):
        healing.heal(acme.code, turn.pk)
    expect_over(acme.code, turn, "interrupted")


def test_a_turn_that_was_ended_elsewhere_goes_no_further(acme: Any) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        budget.reserve(agent.pk, turn.pk, amount_nusd=RESERVED_NUSD)
    run = run_of(acme.code, turn, [Delta(content="Hi"), Finish(0, "stop")])
    run.state.reserved_nusd = RESERVED_NUSD
    with tenant_schema(acme.code):
        conversations.delete_conversation(turn.conversation_id)
        with pytest.raises(TurnLostError):
            budget.reserve(agent.pk, turn.pk, amount_nusd=1)
    last = list(run.events())[-1]
    assert last["type"] in {"turn.failed", "turn.cancelled"}
    with tenant_schema(acme.code):
        # What it has cost counts, though it is deleted.
        assert (spent(agent), reserved()) == (COST_NUSD, 0)


# --- budgets ------------------------------------------------------------------------


def test_a_save_that_fails_once_loses_no_cost(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        budget.reserve(agent.pk, turn.pk, amount_nusd=RESERVED_NUSD)
    run = run_of(acme.code, turn, [Delta(content="Hi"), Finish(0, "stop")])
    run.state.reserved_nusd = RESERVED_NUSD
    real, tries = budget.spend, [0]

    def spend(*given: Any, **options: Any) -> None:
        tries[0] += 1
        if tries[0] == 1:
            raise OperationalError("gone")
        real(*given, **options)

    monkeypatch.setattr(budget, "spend", spend)
    list(run.events())
    found = expect_over(acme.code, turn, "completed")
    assert found.cost_nusd == COST_NUSD
    with tenant_schema(acme.code):
        assert (spent(agent), reserved()) == (COST_NUSD, 0)


def test_several_who_learn_a_cost_at_once_count_it_once(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        budget.reserve(agent.pk, turn.pk, amount_nusd=RESERVED_NUSD)
        Turn.objects.filter(pk=turn.pk).update(status=Turn.Status.INTERRUPTED)
        record(turn, monkeypatch)
        readers = [Turn.objects.get(pk=turn.pk) for _ in range(2)]
        for reader in readers:
            services.learn_costs(reader)
        assert [reader.cost_nusd for reader in readers] == [COST_NUSD] * 2
        assert (spent(agent), reserved()) == (COST_NUSD, 0)


def test_the_cost_of_a_second_step_is_learnt_too(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        first = orjson.loads(turn.steps)[0]
        state = TurnState(
            id=turn.pk,
            model="m",
            conversation_id=turn.conversation_id,
            agent_id=agent.pk,
            steps=[{**first, "cost_nusd": 7}, {"request_id": uuid7().hex}],
            cost_nusd=7,
        )
        services.save(state, saved=0)
        budget.reserve(agent.pk, turn.pk, amount_nusd=RESERVED_NUSD)
        assert healing.heal(acme.code, turn.pk)
        turn.refresh_from_db()
        assert reserved() == RESERVED_NUSD
        record(turn, monkeypatch, step=1)
        services.learn_costs(turn)
        assert (turn.cost_nusd, spent(agent), reserved()) == (7 + COST_NUSD, COST_NUSD, 0)


def test_a_deleted_turn_reserves_nothing(acme: Any) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        Agent.objects.filter(pk=agent.pk).update(monthly_budget_nusd=6_000)
        budget.reserve(agent.pk, turn.pk, amount_nusd=RESERVED_NUSD)
        other = services.begin(
            new(
                agent_id=agent.pk,
                conversation_id=conversations.create_conversation(
                    metadata={}, agent_id=agent.pk
                ).pk,
            )
        )
        with pytest.raises(budget.AgentBudgetError):
            budget.reserve(agent.pk, other.pk, amount_nusd=RESERVED_NUSD)
        conversations.delete_conversation(turn.conversation_id)
        assert budget.reserve(agent.pk, other.pk, amount_nusd=RESERVED_NUSD)


def record(turn: Turn, monkeypatch: pytest.MonkeyPatch, *, step: int = 0) -> None:
    """One of its steps is settled."""
    number = UUID(hex=orjson.loads(turn.steps)[step]["request_id"])
    told = SimpleNamespace(
        request_id=number,
        cost_nusd=COST_NUSD,
        input_tokens=1,
        cached_input_tokens=0,
        output_tokens=1,
        reasoning_tokens=0,
    )
    records = SimpleNamespace(filter=lambda **_: [told])
    monkeypatch.setattr(services, "UsageRecord", SimpleNamespace(objects=records))


# --- healing ------------------------------------------------------------------------


def test_one_that_cannot_be_healed_keeps_no_other_from_it(
    acme: Any, globex: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_may_judge", list)
    left = []
    for cast in (acme, globex):
        with tenant_schema(cast.code):
            left.append((cast.code, services.begin(new())))
    # Redis has lost the beginning of one's events.
    event = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "delta": "x",
        "sequence_number": 9,
    }
    code, turn = left[0]
    pipeline = get_redis().pipeline()
    entry = Entry(9, orjson.dumps(event).decode(), Ends.NOTHING)
    event_log.add_entry(pipeline, event_log.log_key(code, turn.pk), entry)
    pipeline.execute()
    for code, turn in left:
        key = leases._key(partition_of(code))
        get_redis().zadd(key, {leases._member((code, turn.pk)): time.time() - 1})
    healing.heal_all()
    for code, turn in left:
        expect_over(code, turn, "interrupted")


def test_nobody_is_taken_for_dead_just_after_redis_was_away(acme: Any, settings: Any) -> None:
    settings.TURN_LEASE_S = 3
    with tenant_schema(acme.code):
        turn = services.begin(new())
    key, member = leases._key(partition_of(acme.code)), leases._member((acme.code, turn.pk))
    get_redis().zadd(key, {member: time.time() - 1})
    # Nobody has looked for long: as after an outage.
    looks = leases.looks_key(partition_of(acme.code))
    get_redis().hset(looks, mapping={"last": time.time() - 60, "since": 0})
    assert leases.is_alive(acme.code, turn.pk)
    assert (acme.code, turn.pk) not in leases.ended()
    for _ in range(8):
        time.sleep(0.5)
        leases.ended()
    assert (acme.code, turn.pk) in leases.ended()
    assert not leases.is_alive(acme.code, turn.pk)
    leases.give_back(acme.code, turn.pk)


def test_results_are_not_lost_where_a_turn_cannot_go_on(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenant_schema(acme.code):
        agent, turn = agents_turn()
        call = {"id": f"fc_{uuid7().hex}", "type": "function_call", "call_id": "c1"}
        state = TurnState(
            id=turn.pk,
            model="m",
            status=Turn.Status.REQUIRES_ACTION,
            conversation_id=turn.conversation_id,
            agent_id=agent.pk,
            next_event=5,
            steps=orjson.loads(turn.steps),
            output=[{**call, "name": "f", "arguments": "{}", "status": "completed"}],
        )
        services.save(state, saved=0)
        turn = Turn.objects.select_related("conversation").get(pk=turn.pk)

    def away(*_: Any) -> None:
        raise exceptions.ConnectionError("down")

    monkeypatch.setattr(leases, "take", away)
    asker = Asker(KeyRecord(acme.code, "k", "k"), uuid7())
    with pytest.raises(exceptions.ConnectionError):
        go_on(asker, agent, turn, [ToolOutput(call_id="c1", output="x")])
    with tenant_schema(acme.code):
        assert Turn.objects.get(pk=turn.pk).status == Turn.Status.REQUIRES_ACTION
        kept = Item.objects.filter(turn_id=turn.pk, type="function_call_output")
        assert not kept.exists()
