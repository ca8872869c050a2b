"""Clients that want to hurt: messages that are too much, readers that do not read."""

import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from agents.sockets.tests.test_agent_sockets import opened
from agents.tests.talker import Talker, script
from agents.tools.tests.servers import serving
from tenants.keys.services import revoke_api_key


@pytest.mark.parametrize("address", ["agents/{agent}/ws", "responses"])
def test_a_message_of_very_many_values_is_refused_at_once(
    dial: Any, talker: Talker, address: str
) -> None:
    agent = talker.agent()
    client = dial(address.format(agent=agent["id"]), talker.token)
    zeros = ",".join("0" * 1_000_000)
    parts = f'[{{"type":"output_text","text":"x","annotations":[{zeros}]}}]'
    item = f'{{"role":"assistant","content":{parts}}}'
    kind = "response.create" if address == "responses" else "conversation.create"
    field = "input" if address == "responses" else "items"
    began = time.monotonic()
    client.socket.send(f'{{"type":"{kind}","model":"qwen-3-30b","{field}":[{item}]}}')
    told = client.receive()
    assert told["type"] == "error"
    assert "more than" in told["error"]["message"]
    # Nobody else waited: reading it as a model takes half a minute.
    assert time.monotonic() - began < 5


def test_deep_and_large_numbers_are_refused(dial: Any, talker: Talker) -> None:
    client = dial("responses", talker.token)
    deep = '{"a":' * 400 + "1" + "}" * 400
    for parameters in (deep, '{"maximum": 1' + "0" * 40 + "}"):
        tool = f'{{"type":"function","name":"f","parameters":{parameters}}}'
        client.socket.send(
            f'{{"type":"response.create","model":"qwen-3-30b","input":"x","tools":[{tool}]}}'
        )
        told = client.receive()
        assert (told["type"], told["status"]) == ("error", 400)


def test_a_place_beyond_all_numbers_is_refused(dial: Any, talker: Talker) -> None:
    client, _, conversation = opened(dial, talker)
    client.send(
        type="turn.subscribe", conversation=conversation, turn="turn_" + "0" * 32, after=2**70
    )
    told = client.receive()
    assert (told["error"]["param"], told["status"]) in {("after", 400), (None, 400)}


def test_who_does_not_read_keeps_nobody_from_being_closed(
    dial: Any, talker: Talker, cast: Any
) -> None:
    agent = talker.agent()
    address = f"agents/{agent['id']}/ws"
    for _ in range(3):
        stuck = dial(address, talker.token, max_queue=1)
        for _ in range(4):
            stuck.send(type="conversation.create")
        made = [stuck.receive()["conversation"]["id"] for _ in range(4)]
        for conversation in made:
            stuck.send(type="turn.create", conversation=conversation, input=script(tokens=3_000))
    healthy = [dial(address, talker.token) for _ in range(6)]
    time.sleep(2)
    revoke_api_key(tenant=cast.tenant, key_id=cast.key[9:17], actor="test")
    began = time.monotonic()
    for client in healthy:
        with pytest.raises(ConnectionClosed):
            client.receive(timeout=10)
    assert time.monotonic() - began < 8


def test_a_turn_of_a_revoked_key_makes_no_more_calls(talker: Talker, cast: Any) -> None:
    def slow(*_: Any) -> Any:
        time.sleep(0.7)
        return 200, {}, b"again"

    call = [{"name": "again", "arguments": {}}]
    with serving(slow) as server:
        tool = {"type": "http", "name": "again", "url": server.url}
        agent = talker.agent(tools=[tool], limits={"max_steps": 12})
        path = talker.conversation(agent)
        asked = script(tool_calls=call, after_tools={"tool_calls": call})
        talker.post(f"{path}/turns", {"input": asked, "background": True})
        while not server.asked:
            time.sleep(0.02)
        revoke_api_key(tenant=cast.tenant, key_id=cast.key[9:17], actor="test")
        time.sleep(4)
        assert len(server.asked) <= 3
