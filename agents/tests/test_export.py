"""What a workspace's export has of its agents."""

import json
from typing import Any

from agentflare.ids import uuid7
from agents.conversations import services as conversations
from agents.definitions.params import AgentParams
from agents.definitions.services import create_agent
from agents.export import parts
from agents.turns import services
from agents.turns.tests.test_storage import message
from billing.exports.content import parts_of
from tenants.registry.schemas import tenant_schema


def read(name: str) -> list[Any]:
    (part,) = (part for part in parts() if part.name == name)
    return [json.loads(line) for line in b"".join(part.pieces()).splitlines()]


def test_agents_conversations_items_and_turns_are_in_it(acme: Any, globex: Any) -> None:
    tool = {
        "type": "http",
        "name": "f",
        "description": "",
        "parameters": {"type": "object"},
        "url": "https://example.com/",
        "headers": {"X-Key": "hush"},
    }
    params = AgentParams.model_validate({"name": "Ana", "model": "m", "tools": [tool]})
    with tenant_schema(acme.code):
        agent, _ = create_agent(params)
        for n in range(3):
            made = conversations.create_conversation(
                metadata={}, items=[message(f"{n}.{m}") for m in range(400)], agent_id=agent.pk
            )
        new = services.NewTurn(
            id=uuid7(),
            request_id=uuid7(),
            model="m",
            params={"metadata": {}},
            items=[message("the last")],
            key_id="k",
            conversation_id=made.pk,
            agent_id=agent.pk,
        )
        services.begin(new)
    with tenant_schema(globex.code):
        conversations.create_conversation(metadata={}, items=[message("theirs")])

    with tenant_schema(acme.code):
        items = read("items.jsonl")
        told = [item["content"][0]["text"] for item in items]
        assert told == [*(f"{n}.{m}" for n in range(3) for m in range(400)), "the last"]
        assert len(read("conversations.jsonl")) == 3
        assert [agent["name"] for agent in read("agents.jsonl")] == ["Ana"]
        assert [turn["status"] for turn in read("turns.jsonl")] == ["in_progress"]
        whole = b"".join(piece for part in parts_of(acme.tenant) for piece in part.pieces())
    assert b"hush" not in whole
    assert b"theirs" not in whole
    assert b"items.jsonl      their messages" in whole
