"""The examples of the API's reference, made as they are told, against the whole gateway.

With RECORD_EXAMPLES set their answers take the place of those in the reference.
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.tests.talker import Talker, script
from inference.reference import samples
from inference.reference.groups import OPERATIONS
from inference.reference.operation import Example, Operation

OURS = ("/v1/agents", "/v1/conversations", "/v1/responses")
EXAMPLES = [
    (operation, example)
    for operation in OPERATIONS
    if operation.path.startswith(OURS)
    for example in operation.examples
]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city now",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
# The ids of the examples.
TOLD = {
    "agent": "agent_019aa3b2c4d57e8f9a0b1c2d3e4f5060",
    "conv": "conv_019aa3b2c4d57e8f9a0b1c2d3e4f5061",
    "msg": "msg_019aa3b2c4d57e8f9a0b1c2d3e4f5062",
    "turn": "turn_019aa3b2c4d57e8f9a0b1c2d3e4f5063",
    "resp": "resp_019aa3b2c4d57e8f9a0b1c2d3e4f5064",
    "call": "call_1",
}
# What the stand-in says, which would repeat the question otherwise.
SAID: dict[str, Any] = {
    "Hello!": {"text": "Hello! How can I help you?"},
    "What is the capital of Peru?": {"text": "The capital of Peru is Lima."},
    "Tell me a story of one sentence.": {"text": "A lamp waited, and the ship came home."},
    "What is the weather in Lima?": {
        "tool_calls": [{"name": "get_weather", "arguments": {"city": "Lima"}}]
    },
}
# What a list is of, so that it is not empty.
LISTED = {"listAgents": "agent", "listAgentConversations": "conv", "listTurns": "turn"}
_SCRIPT = re.compile(r" \[\[sandbox .*?\]\]")
_SECRETS = {"tool_secret", "token"}
_ID = re.compile(r"(agent|conv|turn|resp|msg)_019aa3b2c4d57e8f9a0b1c2d3e4f50\d\d")


@dataclass
class World:
    """What the ids of the examples stand for. ids: by kind, made when they are first needed."""

    talker: Talker
    operation: Operation
    ids: dict[str, str] = field(default_factory=dict)

    def real(self, text: str) -> str:
        """With the ids of things that are there, in place of the examples'."""
        text = _ID.sub(lambda found: self._id(found[1]), text)
        return text.replace(TOLD["call"], self.ids.get("call", TOLD["call"]))

    def fill(self) -> None:
        if kind := LISTED.get(self.operation.id):
            self._id(kind)

    def as_told(self, text: str) -> str:
        """With the examples' ids again."""
        for kind, number in self.ids.items():
            text = text.replace(number, TOLD[kind])
        return _SCRIPT.sub("", text)

    def _id(self, kind: str) -> str:
        if kind not in self.ids:
            self.ids[kind] = getattr(self, f"_{kind}")()
        return self.ids[kind]

    @property
    def _is_slow(self) -> bool:
        """What is cancelled is still under way."""
        return self.operation.id in {"cancelTurn", "cancelResponse"}

    def _agent(self) -> str:
        tools = [WEATHER] if self.operation.id == "submitToolOutputs" else []
        made = self.talker.agent(
            model="llama-3.3-70b-fast", instructions="You are brief and kind.", tools=tools
        )
        return str(made["id"])

    def _conv(self) -> str:
        if "agent" in self.ids:
            path = f"agents/{self.ids['agent']}/conversations"
            made = self.talker.post(path, {"end_user": "u1"})
            hello = {"role": "user", "content": "Hello!"}
            self.talker.post(f"{path}/{made['id']}/messages", {"items": [hello]})
        else:
            hello = {"type": "message", "role": "user", "content": "Hello!"}
            made = self.talker.post("conversations", {"items": [hello]})
            listed = self.talker.get(f"conversations/{made['id']}/items")
            self.ids["msg"] = listed["data"][0]["id"]
        return str(made["id"])

    def _turn(self) -> str:
        path = f"agents/{self.ids['agent']}/conversations/{self.ids['conv']}/turns"
        if self.operation.id != "submitToolOutputs":
            body = {"input": "Hello!", "background": self._is_slow}
            return str(self.talker.post(path, with_script(body, is_slow=self._is_slow))["id"])
        call = {"name": "get_weather", "arguments": {"city": "Lima"}}
        told = script(tool_calls=[call], after_tools={"text": "It is 31 °C in Lima."})
        turn = self.talker.post(path, {"input": told})
        self.ids["call"] = turn["required_action"]["tool_calls"][0]["call_id"]
        return str(turn["id"])

    def _resp(self) -> str:
        asked = {"model": "llama-3.3-70b-fast", "input": "What is the capital of Peru?"}
        body = with_script({**asked, "background": self._is_slow}, is_slow=self._is_slow)
        return str(self.talker.post("responses", body)["id"])


@pytest.mark.parametrize(
    ("operation", "example"), EXAMPLES, ids=[f"{o.id}: {e.title}" for o, e in EXAMPLES]
)
def test_an_example_is_answered_as_the_reference_says(
    talker: Talker, operation: Operation, example: Example
) -> None:
    world = World(talker, operation)
    path = world.real(example.path or operation.path).removeprefix("/v1/")
    world.fill()
    given = world.real(json.dumps(example.whole_body))
    body = None if example.body is None else json.loads(given)

    answer = talker.ask(operation.method.upper(), path, with_script(body))

    assert answer.status_code == int(operation.success), answer.text
    media_type = answer.headers["content-type"].partition(";")[0]
    content = operation.answers[media_type]
    if media_type == "application/json":
        for model in content.models:
            expect_told(answer.json(), model)
    _record(operation, example, media_type, world.as_told(answer.text))


@pytest.mark.parametrize(
    ("operation", "example"), EXAMPLES, ids=[f"{o.id}: {e.title}" for o, e in EXAMPLES]
)
def test_its_program_in_python_runs(
    gateway: Any,
    talker: Talker,
    operation: Operation,
    example: Example,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.AGENTFLARE_URL = gateway.base_url.removesuffix("/v1")
    monkeypatch.setenv("AGENTFLARE_API_KEY", talker.token)
    world = World(talker, operation)
    told = samples.python(operation, example)
    # The path first: what it names is made then, and the body may tell of it.
    world.real(example.path)
    program = world.real(told)

    exec(compile(program, operation.id, "exec"), {})


def with_script(body: Any, *, is_slow: bool = False) -> Any:
    asked = (body or {}).get("input")
    if asked not in SAID:
        return body
    pace = {"chunk_ms": 500} if is_slow else {}
    return {**body, "input": f"{asked} {script(**SAID[asked], **pace)}"}


def expect_told(told: Any, model: type[BaseModel]) -> None:
    """It is of this model, and has nothing that the model does not tell."""
    model.model_validate(told)
    assert not set(told) - set(model.model_fields), model.__name__


def _record(operation: Operation, example: Example, media_type: str, text: str) -> None:
    if not os.environ.get("RECORD_EXAMPLES"):
        return
    path: Path = samples._ANSWERS
    answers = json.loads(path.read_text())
    body = json.loads(text) if media_type == "application/json" else text
    for name in _SECRETS & set(body if isinstance(body, dict) else ()):
        body[name] = f"{body[name][:6]}…"
    answers[f"{operation.id}: {example.title}"] = {"type": media_type, "body": body}
    path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")
