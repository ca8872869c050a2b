"""Turns that go another way: tools that are none, histories that are odd, what is deleted under
them."""

import json
import time
from typing import Any

import pytest

from agents.agent_conversations.tests.test_turns import WEATHER
from agents.tests.talker import Talker, script
from agents.tools.tests.servers import serving

AGAIN = [{"name": "again", "arguments": {}}]


def again(url: str) -> dict[str, Any]:
    return {"type": "http", "name": "again", "url": url}


def test_deleting_the_conversation_ends_its_turn(talker: Talker) -> None:
    def answer(*_: Any) -> Any:
        time.sleep(0.3)
        return 200, {}, b"again"

    with serving(answer) as server:
        agent = talker.agent(tools=[again(server.url)], limits={"max_steps": 8})
        path = talker.conversation(agent)
        asked = script(tool_calls=AGAIN, after_tools={"tool_calls": AGAIN})
        talker.post(f"{path}/turns", {"input": asked, "background": True})
        while not server.asked:
            time.sleep(0.02)
        assert talker.ask("DELETE", path).status_code == 200
        before = len(server.asked)
        time.sleep(2.5)
        assert len(server.asked) <= before + 1


def test_deleting_the_agent_ends_its_turns(talker: Talker) -> None:
    agent = talker.agent()
    path = talker.conversation(agent)
    events = talker.events(
        "POST",
        f"{path}/turns",
        {"input": script(text="word " * 100, chunk_ms=100), "stream": True},
    )
    for event in events:
        if event["type"] == "response.output_text.delta":
            break
    assert talker.ask("DELETE", f"agents/{agent['id']}").status_code == 200
    left = list(events)
    assert left[-1]["type"] in {"turn.cancelled", "turn.failed"}
    assert len(left) < 60


def test_a_tool_that_nobody_has_is_told_to_the_model(talker: Talker) -> None:
    asked = script(tool_calls=[{"name": "nobody", "arguments": {}}], after_tools={"text": "Sorry."})
    for tools in ([], [WEATHER]):
        turn = talker.post(
            f"{talker.conversation(talker.agent(tools=tools))}/turns", {"input": asked}
        )
        assert turn["status"] == "completed"
        assert turn["output"][1]["output"] == "Error: there is no tool named nobody."


def test_arguments_that_broke_off_are_not_sent_again(talker: Talker, gateway: Any) -> None:
    agent = talker.agent(tools=[WEATHER])
    path = talker.conversation(agent)
    arguments = '{"city": "' + " ".join(f"w{n}" for n in range(200)) + '"}'
    cut = script(tool_calls=[{"name": "weather", "arguments": arguments}], cut_after=10)
    broken = talker.post(f"{path}/turns", {"input": cut})
    assert broken["status"] == "failed"
    talker.post(f"{path}/turns", {"input": "after-the-break"})
    sent = gateway.upstream_calls("after-the-break")[-1]["body"]["messages"]
    for message in sent:
        for call in message.get("tool_calls") or []:
            json.loads(call["function"]["arguments"])


def test_a_second_result_of_a_call_does_not_spoil_the_history(talker: Talker) -> None:
    agent = talker.agent(tools=[WEATHER])
    path = talker.conversation(agent)
    call = {"name": "weather", "arguments": {}}
    turn = talker.post(f"{path}/turns", {"input": script(tool_calls=[call])})
    call_id = turn["required_action"]["tool_calls"][0]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    talker.post(f"{path}/messages", {"items": [output]})
    talker.post(f"{path}/turns/{turn['id']}/cancel")
    talker.post(f"{path}/messages", {"items": [output]})
    assert talker.post(f"{path}/turns", {"input": "Go on"})["status"] == "completed"


def test_a_retry_has_the_results_that_were_its_input(talker: Talker, gateway: Any) -> None:
    path = talker.conversation(talker.agent())
    items = [
        {"role": "user", "content": "the-weather-then"},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "31 C"},
    ]
    turn = talker.post(f"{path}/turns", {"input": items})
    talker.post(f"{path}/turns/{turn['id']}/retry")
    first, second = gateway.upstream_calls("the-weather-then")
    assert first["body"]["messages"] == second["body"]["messages"]


def test_steps_are_counted_over_pauses(talker: Talker) -> None:
    agent = talker.agent(tools=[WEATHER], limits={"max_steps": 2})
    path = talker.conversation(agent)
    call = {"name": "weather", "arguments": {}}
    asked = script(tool_calls=[call], after_tools={"tool_calls": [call]})
    turn = talker.post(f"{path}/turns", {"input": asked})
    ids = []
    while turn["status"] == "requires_action":
        (wanted,) = turn["required_action"]["tool_calls"]
        ids.append(wanted["call_id"])
        outputs = [{"call_id": wanted["call_id"], "output": "31 C"}]
        answer = talker.ask("POST", f"{path}/turns/{turn['id']}/tool_outputs", {"outputs": outputs})
        turn = answer.json()
        assert len(ids) < 5
    assert len(turn["steps"]) == 2
    assert len(set(ids)) == len(ids)
    assert turn["incomplete_details"] == {"reason": "max_steps"}


def test_an_mcp_server_that_talks_nonsense_breaks_no_turn(talker: Talker) -> None:
    def server_of(tools: Any, content: Any) -> Any:
        def answer(body: bytes, _: Any) -> Any:
            message = json.loads(body)
            if message.get("id") is None:
                return 202, {}, b""
            results = {
                "initialize": {"protocolVersion": "2025-06-18"},
                "tools/list": {"tools": tools},
                "tools/call": {"content": content},
            }
            told = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

        return answer

    def ask(url: str) -> Any:
        agent = talker.agent(tools=[{"type": "mcp", "server_label": "kb", "server_url": url}])
        calls = [{"name": "kb_search", "arguments": {}}]
        asked = script(tool_calls=calls, after_tools={"text": "Well."})
        return talker.post(f"{talker.conversation(agent)}/turns", {"input": asked})

    with serving(server_of(5, 5)) as server:
        assert ask(server.url)["output"][1]["output"].startswith("Error: there is no tool")
    named = [{"name": "search", "inputSchema": {}}, {"name": "a.b"}, {"name": "a_b"}]
    with serving(server_of(named, 5)) as server:
        assert ask(server.url)["status"] == "completed"


@pytest.mark.parametrize("model", ["x" * 201, "x\0"])
def test_a_model_that_cannot_be_is_told_so(talker: Talker, model: str) -> None:
    status, _, param = talker.refusal("POST", "responses", {"model": model, "input": "Hi"})
    assert (status, param) == (400, "model")


@pytest.mark.parametrize("number", ["1" + "0" * 30, "-" + "9" * 25, "NaN", "Infinity"])
def test_numbers_that_cannot_be_written_again_are_refused_before_anything(
    talker: Talker, number: str
) -> None:
    tool = f'{{"type": "function", "name": "f", "parameters": {{"maximum": {number}}}}}'
    rest = f'"model": "qwen-3-30b", "tools": [{tool}]'
    for path, body in (
        ("responses", f'{{"input": "Hi", "store": false, {rest}}}'),
        ("agents", f'{{"name": "A", {rest}}}'),
    ):
        headers = {"Content-Type": "application/json"}
        answer = talker.ask("POST", path, None, data=body, headers=headers)
        assert answer.status_code == 400, answer.text
    fine = {"type": "function", "name": "f", "parameters": {"maximum": 2**63, "note": "9" * 40}}
    assert talker.agent(tools=[fine])["tools"][0]["parameters"]["maximum"] == 2**63


def test_pictures_that_cannot_be_are_refused_and_old_ones_do_no_harm(
    talker: Talker, gateway: Any
) -> None:
    path = talker.conversation(talker.agent())

    def picture(url: str) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "input_image", "image_url": url}]}

    refused = talker.refusal("POST", f"{path}/messages", {"items": [picture("nonsense")]})
    assert refused == (400, "invalid_value", "items[0].content[0].image_url")
    talker.post(f"{path}/messages", {"items": [picture("https://nowhere.invalid/a.png")]})
    assert talker.post(f"{path}/turns", {"input": "what-was-that"})["status"] == "completed"
    sent = str(gateway.upstream_calls("what-was-that")[-1]["body"]["messages"])
    assert "Here was a picture" in sent or "Here is a picture" in sent


def test_a_step_that_the_budget_refuses_is_none(talker: Talker) -> None:
    with serving(lambda *_: (200, {}, b"word " * 4000)) as server:
        seen = set()
        for budget in ("0.0001", "0.00015", "0.0002", "0.0003"):
            agent = talker.agent(
                tools=[again(server.url)],
                params={"max_output_tokens": 20},
                monthly_budget=budget,
            )
            asked = script(tool_calls=AGAIN, after_tools={"text": "x"})
            path = talker.conversation(agent)
            answer = talker.ask("POST", f"{path}/turns", {"input": asked})
            if answer.status_code != 200:
                continue
            turn = answer.json()
            seen.add(turn["status"])
            total = sum(float(step["cost"]) for step in turn["steps"])
            assert float(turn["cost"]) == pytest.approx(total)
            if turn["status"] == "failed":
                assert turn["error"]["code"] == "agent_budget_exceeded"
                assert len(turn["steps"]) == 1
        assert "failed" in seen
