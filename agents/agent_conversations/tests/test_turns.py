"""Agents, their conversations and turns, over HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from agentflare.ids import uuid7
from agentflare.partitions import tenant_key
from agentflare.redis_store import get_redis
from agents.definitions.objects import agent_uuid
from agents.tests.talker import Talker, script, text_of
from agents.turns import services
from tenants.registry.schemas import tenant_schema

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ASKS_WEATHER = script(
    tool_calls=[{"name": "weather", "arguments": {"city": "Lima"}}],
    after_tools={"text": "It is warm."},
)


def test_an_agent_is_made_read_changed_listed_and_deleted(talker: Talker) -> None:
    made = talker.agent(
        instructions="Be brief.",
        params={"temperature": 0.2},
        tools=[WEATHER],
        limits={"max_steps": 3},
        monthly_budget="5.00",
        metadata={"a": "b"},
    )
    secret = made.pop("tool_secret")
    assert secret.startswith("whsec_")
    assert made["id"].startswith("agent_")
    assert made["limits"] == {"max_messages": 100, "max_steps": 3, "turn_timeout_s": 300}
    assert talker.get(f"agents/{made['id']}") == made
    changed = talker.post(f"agents/{made['id']}", {"name": "Bea", "monthly_budget": None})
    assert (changed["name"], changed["monthly_budget"]) == ("Bea", None)
    assert changed["instructions"] == "Be brief."
    others = [talker.agent()["id"] for _ in range(3)]
    page = talker.get("agents?limit=2")
    assert [each["id"] for each in page["data"]] == [others[2], others[1]]
    assert page["has_more"] is True
    rest = talker.get(f"agents?limit=2&after={page['last_id']}")
    assert [each["id"] for each in rest["data"]] == [others[0], made["id"]]
    assert talker.ask("DELETE", f"agents/{made['id']}").status_code == 200
    assert talker.refusal("GET", f"agents/{made['id']}") == (404, "agent_not_found", None)
    assert talker.post(f"agents/{others[0]}/tool_secret")["tool_secret"] != secret


def test_a_turn_answers_and_the_history_stays(talker: Talker, gateway: Any) -> None:
    agent = talker.agent(instructions="You are Ana-9.")
    path = talker.conversation(agent)
    turn = talker.post(f"{path}/turns", {"input": "My number is 4711-ana.", "metadata": {"n": "1"}})

    assert turn["id"].startswith("turn_")
    assert turn["object"] == "agent.turn"
    assert turn["status"] == "completed"
    assert turn["metadata"] == {"n": "1"}
    assert turn["output"][0]["content"][0]["text"]
    (step,) = turn["steps"]
    assert step["cost"] == turn["cost"]
    assert Decimal(turn["cost"]) > 0
    talker.post(f"{path}/turns", {"input": "Which number?"})

    asked = [call["body"]["messages"] for call in gateway.upstream_calls("4711-ana")]
    assert [m["role"] for m in asked[-1]] == ["system", "user", "assistant", "user"]
    assert asked[-1][0]["content"] == "You are Ana-9."
    messages = talker.get(f"{path}/messages?order=asc")["data"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant"]
    turns = talker.get(f"{path}/turns")["data"]
    assert len(turns) == 2
    conversation = talker.get(path)
    assert Decimal(conversation["cost"]) == sum(Decimal(each["cost"]) for each in turns)
    assert conversation["active_turn"] is None


def test_a_stream_is_numbered_and_resumed_anywhere(talker: Talker) -> None:
    path = talker.conversation(talker.agent())
    body = {"input": script(text="one two three four five", chunk_ms=30), "stream": True}
    events = list(talker.events("POST", f"{path}/turns", body))

    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    assert events[0]["type"] == "turn.created"
    assert events[-1]["type"] == "turn.completed"
    assert text_of(events) == "one two three four five"
    turn = events[-1]["turn"]
    for after in (0, 3, len(events) - 2):
        again = list(
            talker.events(
                "GET",
                f"{path}/turns/{turn['id']}?stream=true",
                headers={"Last-Event-ID": str(after)},
            )
        )
        assert again == events[after + 1 :]
    assert list(talker.events("GET", f"{path}/turns/{turn['id']}?stream=true")) == events
    # Browsers come again by themselves after the last event.
    seen_all = f"{path}/turns/{turn['id']}?stream=true&starting_after={len(events) - 1}"
    assert list(talker.events("GET", seen_all)) == []


def test_a_turn_goes_on_when_its_client_leaves(talker: Talker) -> None:
    path = talker.conversation(talker.agent())
    body = {"input": script(text="one two three four five", chunk_ms=100), "stream": True}
    seen = []
    for event in talker.events("POST", f"{path}/turns", body):
        seen.append(event)
        if event["type"] == "response.output_text.delta":
            break
    turn = seen[0]["turn"]["id"]
    rest = talker.events(
        "GET", f"{path}/turns/{turn}?stream=true&starting_after={seen[-1]['sequence_number']}"
    )
    seen += rest
    assert [e["sequence_number"] for e in seen] == list(range(len(seen)))
    assert text_of(seen) == "one two three four five"
    assert seen[-1]["turn"]["status"] == "completed"
    assert len(seen[-1]["turn"]["steps"]) == 1


def test_a_turn_waits_for_the_clients_tools(talker: Talker) -> None:
    path = talker.conversation(talker.agent(tools=[WEATHER]))
    turn = talker.post(f"{path}/turns", {"input": ASKS_WEATHER})

    assert turn["status"] == "requires_action"
    (call,) = turn["required_action"]["tool_calls"]
    assert call["name"] == "weather"
    assert talker.refusal("POST", f"{path}/turns", {"input": "Hm?"})[:2] == (
        409,
        "conversation_locked",
    )
    outputs = f"{path}/turns/{turn['id']}/tool_outputs"
    wrong = {"outputs": [{"call_id": "call_x", "output": "?"}]}
    assert talker.refusal("POST", outputs, wrong) == (400, "invalid_value", "outputs[0].call_id")
    right = {"outputs": [{"call_id": call["call_id"], "output": "31 C"}]}
    done = talker.post(outputs, right)
    assert done["status"] == "completed"
    assert done["output"][-1]["content"][0]["text"] == "It is warm."
    assert len(done["steps"]) == 2
    assert Decimal(done["cost"]) == sum(Decimal(step["cost"]) for step in done["steps"])
    assert talker.refusal("POST", outputs, right)[:2] == (409, "turn_not_waiting")
    events = list(talker.events("GET", f"{path}/turns/{turn['id']}?stream=true"))
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    kinds = [e["type"] for e in events]
    assert kinds.index("turn.requires_action") < kinds.index("turn.completed")
    types = [m["type"] for m in talker.get(f"{path}/messages?order=asc")["data"]]
    assert types == ["message", "function_call", "function_call_output", "message"]


def test_a_waiting_turn_is_cancelled(talker: Talker) -> None:
    path = talker.conversation(talker.agent(tools=[WEATHER]))
    turn = talker.post(f"{path}/turns", {"input": ASKS_WEATHER})
    cancelled = talker.post(f"{path}/turns/{turn['id']}/cancel")
    assert cancelled["status"] == "cancelled"
    events = list(talker.events("GET", f"{path}/turns/{turn['id']}?stream=true"))
    assert events[-1]["type"] == "turn.cancelled"
    # A model reads that there is no result, and goes on.
    done = talker.post(f"{path}/turns", {"input": script(text="Fine.")})
    assert done["status"] == "completed"


def test_a_running_turn_is_cancelled_and_made_again(talker: Talker) -> None:
    path = talker.conversation(talker.agent())
    slow = script(text=" ".join(map(str, range(300))), chunk_ms=30)
    stream = talker.events("POST", f"{path}/turns", {"input": slow, "stream": True})
    seen = [next(stream) for _ in range(8)]
    turn = seen[0]["turn"]["id"]
    cancelled = talker.post(f"{path}/turns/{turn}/cancel")
    assert cancelled["status"] == "cancelled"
    assert cancelled["output"][0]["status"] == "incomplete"
    seen += stream
    assert seen[-1]["type"] == "turn.cancelled"
    assert text_of(seen) == cancelled["output"][0]["content"][0]["text"]
    assert Decimal(cancelled["cost"]) > 0
    again = talker.post(f"{path}/turns/{turn}/retry", {"background": True})
    assert again["id"] != turn
    talker.post(f"{path}/turns/{again['id']}/cancel")
    texts = [m["role"] for m in talker.get(f"{path}/messages?order=asc")["data"]]
    assert texts in (["user", "assistant"], ["user"])
    assert talker.refusal("POST", f"{path}/turns/{turn}/retry", {})[:2] == (409, "turn_not_last")


def test_one_turn_at_a_time_whoever_asks(talker: Talker) -> None:
    path = talker.conversation(talker.agent())
    body = {"input": script(text="a b c", chunk_ms=100)}

    def ask(_: int) -> int:
        return talker.ask("POST", f"{path}/turns", body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(ask, range(8)))
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {200, 409}
    assert 409 in statuses

    def wait(number: int) -> Any:
        return talker.post(
            f"{path}/turns",
            {"input": script(text=f"n{number}", chunk_ms=20), "if_busy": "wait", "wait_s": 60},
        )

    with ThreadPoolExecutor(5) as pool:
        turns = list(pool.map(wait, range(5)))
    assert {turn["status"] for turn in turns} == {"completed"}
    messages = talker.get(f"{path}/messages?order=asc&limit=100")["data"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)


def test_a_turn_that_is_refused_leaves_nothing(gateway: Any) -> None:
    poor = gateway.cast(credit_nusd=10)
    talker = Talker(gateway.base_url, poor.key)
    path = talker.conversation(talker.agent())
    assert talker.refusal("POST", f"{path}/turns", {"input": "Hello"})[:2] == (
        429,
        "insufficient_quota",
    )
    assert talker.get(f"{path}/turns")["data"] == []
    assert talker.get(f"{path}/messages")["data"] == []
    assert talker.get(path)["active_turn"] is None


def test_an_agents_budget_is_never_overspent(talker: Talker) -> None:
    agent = talker.agent(monthly_budget="0.00001")
    assert talker.refusal("POST", f"{talker.conversation(agent)}/turns", {"input": "Hello"})[
        :2
    ] == (429, "agent_budget_exceeded")

    agent = talker.agent(params={"max_output_tokens": 20}, monthly_budget="0.0001")
    paths = [talker.conversation(agent) for _ in range(12)]
    body = {"input": script(tokens=20)}

    def ask(path: str) -> Any:
        return talker.ask("POST", f"{path}/turns", body)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, paths))
    served = [answer.json() for answer in answers if answer.status_code == 200]
    spent = sum(Decimal(turn["cost"]) for turn in served)
    assert served
    assert len(served) < 12
    assert spent <= Decimal("0.0001")


def test_a_failed_turn_says_why(talker: Talker) -> None:
    path = talker.conversation(talker.agent())
    turn = talker.post(f"{path}/turns", {"input": script(text="one two three", cut_after=2)})
    assert turn["status"] == "failed"
    assert turn["error"]["code"] == "server_error"
    assert turn["output"][0]["status"] == "incomplete"


def test_a_conversation_is_forked_exported_renamed_and_deleted(talker: Talker) -> None:
    agent = talker.agent()
    path = talker.conversation(agent, end_user="u1", title="First")
    talker.post(f"{path}/turns", {"input": script(text="One.")})
    first = talker.get(f"{path}/messages?order=asc")["data"][0]["id"]
    talker.post(f"{path}/turns", {"input": script(text="Two.")})
    fork = talker.post(f"{path}/fork", {"until": first})
    assert (fork["title"], fork["end_user"], fork["agent_id"]) == ("First", "u1", agent["id"])
    copied = talker.get(f"agents/{agent['id']}/conversations/{fork['id']}/messages")["data"]
    assert len(copied) == 1
    lines = talker.ask("GET", f"{path}/export").text.splitlines()
    assert len(lines) == 5
    assert '"agent.conversation"' in lines[0]
    assert talker.post(path, {"title": "Second", "metadata": {"x": "y"}})["title"] == "Second"
    listed = talker.get(f"agents/{agent['id']}/conversations?end_user=u1")["data"]
    assert [each["title"] for each in listed] == ["First", "Second"]
    assert talker.get(f"agents/{agent['id']}/conversations?end_user=u2")["data"] == []
    assert talker.ask("DELETE", path).status_code == 200
    assert talker.refusal("GET", path)[:2] == (404, "conversation_not_found")


def test_only_the_last_messages_are_sent(talker: Talker, gateway: Any) -> None:
    agent = talker.agent(limits={"max_messages": 4}, instructions="Rule-88.")
    path = talker.conversation(agent)
    for number in range(6):
        items = [
            {"role": "user", "content": f"Q{number}-hist88"},
            {"role": "assistant", "content": f"A{number}"},
        ]
        talker.post(f"{path}/messages", {"items": items})
    talker.post(f"{path}/turns", {"input": "Last-hist88"})
    (call,) = gateway.upstream_calls("Last-hist88")
    texts = [message["content"] for message in call["body"]["messages"]]
    assert texts == ["Rule-88.", "Q5-hist88", "A5", "Last-hist88"]


def test_what_is_not_sent_any_more_is_summed_up(talker: Talker, gateway: Any) -> None:
    agent = talker.agent(
        limits={"max_messages": 4},
        instructions="Rule-90.",
        summary={"model": "llama-3.3-70b-fast"},
    )
    path = talker.conversation(agent)
    for number in range(6):
        items = [
            {"role": "user", "content": f"Q{number}-hist90"},
            {"role": "assistant", "content": f"A{number}"},
        ]
        talker.post(f"{path}/messages", {"items": items})
    first = talker.post(f"{path}/turns", {"input": "One-hist90"})
    # The answer, and the summary: held, captured and told like all calls.
    assert len(first["steps"]) == 2
    assert Decimal(first["cost"]) == sum(Decimal(step["cost"]) for step in first["steps"])
    assert len(first["output"]) == 1
    (asked,) = [c for c in gateway.upstream_calls("Q0-hist90") if "llama" in c["model"]]
    assert "user: Q0-hist90" in asked["body"]["messages"][1]["content"]
    assert "Summary so far" in asked["body"]["messages"][1]["content"]

    second = talker.post(f"{path}/turns", {"input": "Two-hist90"})
    assert len(second["steps"]) == 1
    *_, call = gateway.upstream_calls("Two-hist90")
    system = call["body"]["messages"][0]["content"]
    assert system.startswith("Rule-90.\n\nSummary of the earlier conversation:\n")


def test_a_long_history_is_cut_to_the_models_window(talker: Talker) -> None:
    """Of 108,000 words those that leave room for an answer in a window of 32,768 tokens."""
    path = talker.conversation(talker.agent(instructions="Rule-89."))
    for number in range(12):
        items = [{"role": "user", "content": f"M{number} " + "word " * 9_000}]
        talker.post(f"{path}/messages", {"items": items})
    turn = talker.post(f"{path}/turns", {"input": script(text="Yes.")})
    assert turn["status"] == "completed"
    assert 16_000 < turn["usage"]["input_tokens"] < 32_768
    assert talker.refusal("POST", f"{path}/turns", {"input": "word " * 60_000}) == (
        400,
        "context_length_exceeded",
        "input",
    )


@pytest.mark.parametrize("busy", ["turn", "lease"])
def test_a_conversation_whose_process_died_is_free_again(
    talker: Talker, cast: Any, gateway: Any, busy: str
) -> None:
    """As a killed process leaves it: a turn in progress whose lease runs out."""
    agent = talker.agent()
    path = talker.conversation(agent)
    conversation = UUID(hex=path.rpartition("conv_")[2])
    turn_id = uuid7()
    with tenant_schema(cast.code):
        services.begin(
            services.NewTurn(
                id=turn_id,
                request_id=uuid7(),
                model="qwen-3-30b",
                params={},
                items=[],
                key_id="x",
                conversation_id=conversation,
                agent_id=agent_uuid(agent["id"]),
            )
        )
    key = tenant_key(cast.code, "turns")
    member = f"{cast.code}:{turn_id.hex}"
    if busy == "turn":
        get_redis().zadd(key, {member: time.time() + 600})
        assert talker.refusal("POST", f"{path}/turns", {"input": "Hm?"})[0] == 409
    get_redis().zadd(key, {member: time.time() - 1})
    assert talker.post(f"{path}/turns", {"input": script(text="Yes.")})["status"] == "completed"
    dead = talker.get(f"{path}/turns/turn_{turn_id.hex}")
    assert dead["status"] == "interrupted"
    assert dead["error"]["code"] == "turn_interrupted"
