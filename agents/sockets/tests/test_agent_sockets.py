"""An agent's WebSocket, by a client of its own, against the running product."""

import json
import random
import socket as sockets
import struct
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agents.agent_conversations.tests.test_turns import ASKS_WEATHER, WEATHER
from agents.client_tokens.tokens import PREFIX
from agents.sockets.tests.conftest import Client
from agents.tests.talker import Talker, script, text_of
from tenants.keys.services import revoke_api_key
from tenants.registry.services import suspend_tenant

ENDS = ("turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted", "error")


def opened(dial: Any, talker: Talker, **params: Any) -> tuple[Client, Any, str]:
    """A client, the agent, and a conversation's id."""
    agent = talker.agent(**params)
    client = dial(f"agents/{agent['id']}/ws", talker.token)
    client.send(type="conversation.create", ref="c", title="T")
    made = client.receive()
    assert (made["type"], made["ref"]) == ("conversation.created", "c")
    return client, agent, made["conversation"]["id"]


def test_a_turn_over_a_websocket(dial: Any, talker: Talker) -> None:
    client, agent, conversation = opened(dial, talker)
    client.send(type="turn.create", ref="t", conversation=conversation, input=script(text="a b c"))
    accepted, *events = client.until(*ENDS)

    assert (accepted["type"], accepted["ref"]) == ("turn.accepted", "t")
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    assert {e["turn_id"] for e in events} == {accepted["turn"]}
    assert {e["conversation_id"] for e in events} == {conversation}
    assert text_of(events) == "a b c"
    assert events[-1]["turn"]["status"] == "completed"
    path = f"agents/{agent['id']}/conversations/{conversation}"
    assert len(talker.get(f"{path}/messages")["data"]) == 2
    client.send(type="ping", ref="p")
    assert client.receive() == {"type": "pong", "ref": "p"}


def test_several_conversations_over_one_websocket(dial: Any, talker: Talker) -> None:
    client, _, first = opened(dial, talker)
    client.send(type="conversation.create")
    second = client.receive()["conversation"]["id"]
    slow = script(text=" ".join(["slow"] * 30), chunk_ms=50)
    client.send(type="turn.create", conversation=first, input=slow)
    client.until("response.output_text.delta")
    client.send(type="turn.create", conversation=second, input=script(text="quick"))
    seen: dict[str, list[Any]] = {first: [], second: []}
    ended: list[str] = []
    while len(ended) < 2:
        event = client.receive()
        if "conversation_id" in event:
            seen[event["conversation_id"]].append(event)
        if event["type"] == "turn.completed":
            ended.append(event["conversation_id"])
    assert ended == [second, first]
    assert text_of(seen[second]) == "quick"


def test_tools_over_a_websocket(dial: Any, talker: Talker) -> None:
    client, _, conversation = opened(dial, talker, tools=[WEATHER])
    client.send(type="turn.create", conversation=conversation, input=ASKS_WEATHER)
    *before, waiting = client.until("turn.requires_action", *ENDS)
    (call,) = waiting["turn"]["required_action"]["tool_calls"]
    client.send(
        type="turn.tool_outputs",
        conversation=conversation,
        turn=waiting["turn_id"],
        outputs=[{"call_id": call["call_id"], "output": "31 C"}],
    )
    events = [e for e in [*before, waiting, *client.until(*ENDS)] if "sequence_number" in e]
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    assert text_of(events) == "It is warm."


def test_a_turn_is_cancelled_and_made_again_over_a_websocket(dial: Any, talker: Talker) -> None:
    client, _, conversation = opened(dial, talker)
    slow = script(text=" ".join(["slow"] * 300), chunk_ms=30)
    client.send(type="turn.create", conversation=conversation, input=slow)
    turn = client.until("response.output_text.delta")[-1]["turn_id"]
    client.send(type="turn.cancel", conversation=conversation, turn=turn)
    assert client.until(*ENDS)[-1]["type"] == "turn.cancelled"
    client.send(type="turn.retry", ref="r", conversation=conversation, turn=turn)
    again = client.until("turn.accepted")[-1]
    assert again["turn"] != turn
    client.until("response.output_text.delta")
    client.send(type="turn.cancel", conversation=conversation, turn=again["turn"])
    client.until("turn.cancelled")


@pytest.mark.timeout(240)
def test_a_client_that_drops_anywhere_puts_every_turn_together(
    dial: Any, talker: Talker, gateway: Any
) -> None:
    """Dropped without a word, connected again wherever a process takes it, from the last event."""
    chance = random.Random(7)
    agent = talker.agent()
    told, drops = 0, 0
    while drops < 40:
        client = dial(f"agents/{agent['id']}/ws", talker.token)
        client.send(type="conversation.create")
        conversation = client.receive()["conversation"]["id"]
        words = " ".join(f"w{chance.randrange(1000)}" for _ in range(40))
        client.send(
            type="turn.create", conversation=conversation, input=script(text=words, chunk_ms=8)
        )
        turn = client.receive()["turn"]
        events: list[Any] = []
        while not events or events[-1]["type"] not in ENDS:
            for _ in range(chance.randrange(1, 25)):
                events.append(client.receive())
                if events[-1]["type"] in ENDS:
                    break
            else:
                drop(client)
                drops += 1
                client = dial(f"agents/{agent['id']}/ws", talker.token)
                client.send(
                    type="turn.subscribe",
                    conversation=conversation,
                    turn=turn,
                    after=events[-1]["sequence_number"],
                )
        assert [e["sequence_number"] for e in events] == list(range(len(events)))
        assert text_of(events) == words
        done = events[-1]["turn"]
        assert done["output"][0]["content"][0]["text"] == words
        assert len(done["steps"]) == 1
        told += 1
    assert told >= 3


def drop(client: Client) -> None:
    """As a network does that is gone: a reset, without a word of WebSocket."""
    raw = client.socket.socket
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def test_a_slow_reader_holds_up_nobody_else(dial: Any, talker: Talker) -> None:
    agent = talker.agent()
    slow = dial(f"agents/{agent['id']}/ws", talker.token, max_queue=1)
    conversations = []
    for _ in range(6):
        slow.send(type="conversation.create")
        conversations.append(slow.receive()["conversation"]["id"])
    for conversation in conversations:
        slow.send(type="turn.create", conversation=conversation, input=script(tokens=2_000))
    quick, _, own = opened(dial, talker)
    for _ in range(3):
        began = time.monotonic()
        quick.send(type="turn.create", conversation=own, input=script(text="quick"))
        assert quick.until(*ENDS)[-1]["type"] == "turn.completed"
        assert time.monotonic() - began < 15
    # And who reads at last misses nothing.
    seen: dict[str, list[Any]] = {conversation: [] for conversation in conversations}
    ended = 0
    while ended < len(conversations):
        event = slow.receive(60)
        if "conversation_id" in event:
            seen[event["conversation_id"]].append(event["sequence_number"])
            ended += event["type"] == "turn.completed"
    assert all(numbers == list(range(len(numbers))) for numbers in seen.values())


def test_messages_that_make_no_sense_are_told_so(dial: Any, talker: Talker) -> None:
    client, _, conversation = opened(dial, talker)
    nobody = "conv_" + "0" * 32
    create = {"type": "turn.create", "input": "Hi"}
    cases = [
        ("nonsense", None, None, 400),
        ("[]", "type", "invalid_value", 400),
        ('{"type": "dance", "ref": "x"}', "type", "invalid_value", 400),
        ('{"type": "turn.create", "ref": "x"}', "input", "missing_required_parameter", 400),
        (
            json.dumps({**create, "ref": "x", "conversation": nobody}, sort_keys=True),
            "conversation",
            "conversation_not_found",
            404,
        ),
        (
            json.dumps({**create, "conversation": conversation, "stream": True}),
            "stream",
            "unsupported_parameter",
            400,
        ),
    ]
    for text, param, code, status in cases:
        client.socket.send(text)
        told = client.receive()
        assert told["type"] == "error", text
        assert (told["error"]["param"], told["error"]["code"], told["status"]) == (
            param,
            code,
            status,
        ), text
        assert told["ref"] == ("x" if '"ref": "x"' in text else None)
    client.send(type="turn.create", conversation=conversation, input=script(text="Fine."))
    assert client.until(*ENDS)[-1]["type"] == "turn.completed"


def test_what_is_too_large_binary_or_too_fast_ends_it(dial: Any, talker: Talker) -> None:
    agent = talker.agent()
    for send, code in (
        (lambda client: client.socket.send("x" * 9_000_000), 1009),
        (lambda client: client.socket.send(b"{}"), 1003),
        (lambda client: [client.send(type="ping") for _ in range(500)], 4429),
    ):
        client = dial(f"agents/{agent['id']}/ws", talker.token, max_size=None)
        with pytest.raises(ConnectionClosed) as closed:
            _send_and_read(client, send)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def _send_and_read(client: Client, send: Any) -> None:
    send(client)
    while True:
        client.receive()


def test_who_may_not_come_in_gets_an_http_error(dial: Any, talker: Talker, gateway: Any) -> None:
    agent = talker.agent()
    stranger = gateway.cast(name="globex")
    for path, token, status in (
        (f"agents/{agent['id']}/ws", None, 401),
        (f"agents/{agent['id']}/ws", "oi_nonsense", 401),
        (f"agents/{agent['id']}/ws", PREFIX + "nonsense", 401),
        (f"agents/{agent['id']}/ws", stranger.key, 404),
        ("agents/agent_1/ws", talker.token, 404),
        ("models", talker.token, 404),
    ):
        with pytest.raises(InvalidStatus) as refused:
            dial(path, token)
        assert refused.value.response.status_code == status, path
        assert b'"error"' in refused.value.response.body


def test_a_browser_comes_in_with_a_client_token(dial: Any, talker: Talker) -> None:
    agent = talker.agent()
    others = talker.conversation(agent, end_user="u2").rpartition("/")[2]
    minted = talker.post(f"agents/{agent['id']}/tokens", {"end_user": "u1"})["token"]
    offered = ["agentflare.v1", "agentflare.token." + minted.rstrip("=")]
    client = dial(f"agents/{agent['id']}/ws", None, subprotocols=offered)
    assert client.socket.subprotocol == "agentflare.v1"
    client.send(type="conversation.create", end_user="u2")
    made = client.receive()["conversation"]
    assert made["end_user"] == "u1"
    client.send(type="turn.create", conversation=made["id"], input=script(text="Hi."))
    assert client.until(*ENDS)[-1]["type"] == "turn.completed"
    client.send(type="turn.create", conversation=others, input="Hi.")
    assert client.receive()["error"]["code"] == "conversation_not_found"


def closed_by(client: Client) -> tuple[int, float]:
    began = time.monotonic()
    with pytest.raises(ConnectionClosed) as closed:
        _send_and_read(client, lambda _: None)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, time.monotonic() - began


def test_revoking_the_key_closes_it_within_a_second(dial: Any, talker: Talker, cast: Any) -> None:
    client, _, _ = opened(dial, talker)
    revoke_api_key(tenant=cast.tenant, key_id=cast.key[9:17], actor="test")
    code, after_s = closed_by(client)
    assert code == 4401
    assert after_s < 1.5


def test_suspending_the_tenant_closes_it_and_ends_its_turn(
    dial: Any, talker: Talker, cast: Any
) -> None:
    client, _, conversation = opened(dial, talker)
    slow = script(text=" ".join(["slow"] * 400), chunk_ms=50)
    client.send(type="turn.create", conversation=conversation, input=slow)
    client.until("response.output_text.delta")
    suspend_tenant(tenant=cast.tenant, reason="unpaid", actor="test")
    code, after_s = closed_by(client)
    assert code == 4403
    assert after_s < 2


def test_a_token_whose_time_is_over_closes_it(dial: Any, talker: Talker) -> None:
    agent = talker.agent()
    wanted = {"end_user": "u1", "expires_in_s": 10}
    minted = talker.post(f"agents/{agent['id']}/tokens", wanted)["token"]
    client = dial(f"agents/{agent['id']}/ws", minted)
    code, after_s = closed_by(client)
    assert code == 4401
    assert after_s < 12
