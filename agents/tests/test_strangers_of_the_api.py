"""Every endpoint below /v1, as the URL conf has them: nobody without a key, and nobody by another
tenant's ids. A new endpoint is tried without a line here; new names in its path have to be made
below, and a body if it looks at that first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import requests

from agents.tests.talker import Talker, script
from inference.reference.tests.test_document import real_endpoints
from sandbox.testing import wait_until
from tenants.keys.models import Scope
from tenants.keys.services import create_api_key

# For anybody, or for whoever has the token that stands in the path.
PUBLIC = {"/v1/openapi.json", "/v1/asyncapi.json", "/v1/images/files/{token}"}
# What these name is everybody's.
SHARED = {"/v1/models/{name}", "/v1/run/{name}"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MESSAGE = {"role": "user", "content": "x"}
BODIES: dict[str, Any] = {
    "/v1/keys/{key_id}": {"name": "Mine"},
    "/v1/agents/{agent_id}": {"name": "Mine"},
    "/v1/agents/{agent_id}/tokens": {"end_user": "x"},
    "/v1/agents/{agent_id}/conversations/{conversation_id}": {"title": "Mine"},
    "/v1/agents/{agent_id}/conversations/{conversation_id}/messages": {"items": [MESSAGE]},
    "/v1/agents/{agent_id}/conversations/{conversation_id}/turns": {"input": "x"},
    "/v1/agents/{agent_id}/conversations/{conversation_id}/turns/{turn_id}/tool_outputs": {
        "outputs": [{"call_id": "x", "output": "x"}]
    },
    "/v1/conversations/{conversation_id}": {"metadata": {"a": "b"}},
    "/v1/conversations/{conversation_id}/items": {"items": [MESSAGE]},
}


@dataclass(frozen=True)
class Owner:
    """Somebody with one of everything. ids: by the names that paths have for them, `kept` those of
    a conversation that is no agent's."""

    talker: Talker
    ids: Mapping[str, str]
    kept: Mapping[str, str]

    def ids_of(self, path: str) -> dict[str, str]:
        is_agents = path.startswith("/v1/agents/")
        here = {**self.ids, **({} if is_agents else self.kept)}
        return {name: here[name] for name in re.findall(r"{(\w+)}", path)}

    def ask(self, method: str, path: str, ids: Mapping[str, str]) -> requests.Response:
        body = BODIES.get(path, {}) if method == "POST" else None
        return self.talker.ask(method, path.format(**ids).removeprefix("/v1/"), body)

    def sees(self) -> dict[str, str]:
        """All that it can read of its own."""
        return {
            path: self.ask("GET", path, self.ids_of(path)).text
            for method, path in sorted(real_endpoints())
            if method == "get" and "{" in path and path not in PUBLIC | SHARED
        }


def furnish(gateway: Any, name: str) -> Owner:
    cast = gateway.cast(name=name)
    _, key = create_api_key(tenant=cast.tenant, name="all", actor="test", scopes=list(Scope))
    talker = Talker(gateway.base_url, key)
    agent = talker.agent()
    conversation = talker.conversation(agent)
    turn = talker.post(f"{conversation}/turns", {"input": script(text="Secret.")})
    kept = talker.post("conversations", {"items": [MESSAGE]})
    response = talker.post("responses", {"model": "qwen-3-30b", "input": script(text="Secret.")})
    items = talker.get(f"conversations/{kept['id']}/items")
    record = gateway.chat(cast, script(text="Secret.")).headers["x-request-id"]
    wait_until(lambda: talker.ask("GET", f"usage/records/{record}").ok)
    ids = {
        "key_id": talker.ask("POST", "keys", {"name": "another"}).json()["id"],
        "request_id": record,
        "agent_id": agent["id"],
        "conversation_id": conversation.rpartition("/")[2],
        "turn_id": turn["id"],
        "response_id": response["id"],
    }
    kept_ids = {"conversation_id": kept["id"], "item_id": items["data"][0]["id"]}
    return Owner(talker, ids, kept_ids)


def unknown(identifier: str) -> str:
    """Of the same form, and nobody's."""
    prefix, _, rest = identifier.rpartition("_")
    made_up = uuid4().hex if len(rest) == 32 else rest[::-1]
    return f"{prefix}_{made_up}" if prefix else made_up


def told(answer: requests.Response, identifier: str) -> tuple[int, str]:
    return answer.status_code, answer.text.replace(identifier, "<id>")


def test_ids_of_another_tenant_are_as_unknown_as_any(gateway: Any) -> None:
    ours, theirs = furnish(gateway, "acme"), furnish(gateway, "globex")
    before = ours.sees()
    assert "Secret." in "".join(before.values())
    tried = set()

    for method, path in sorted(real_endpoints()):
        if path in PUBLIC | SHARED:
            continue
        own, foreign = theirs.ids_of(path), ours.ids_of(path)
        for name in own:
            made_up = unknown(foreign[name])
            got = told(
                theirs.ask(method.upper(), path, {**own, name: foreign[name]}), foreign[name]
            )
            wanted = told(theirs.ask(method.upper(), path, {**own, name: made_up}), made_up)
            assert got == wanted, (method, path, name)
            assert got[0] == 404, (method, path, name, got)
            tried.add(name)
        if len(own) > 1:
            assert theirs.ask(method.upper(), path, foreign).status_code == 404, (method, path)

    assert tried == {*ours.ids, *ours.kept}
    for method, path in real_endpoints():
        if method == "get" and "{" not in path and path not in PUBLIC:
            listed = theirs.ask("GET", path, {}).text
            assert not [id_ for id_ in {*ours.ids.values(), *ours.kept.values()} if id_ in listed]
    assert ours.sees() == before


def test_without_a_key_nothing_is_answered(gateway: Any) -> None:
    noise = {"authorization": f"Bearer oi_{'x' * 52}", "cookie": "sessionid=x; csrftoken=x"}
    for path in sorted({path for _, path in real_endpoints()}):
        address = gateway.url + re.sub(r"{\w+}", "x", path)
        for method in METHODS:
            for headers in ({}, noise, {"x-api-key": ""}, {"authorization": "Basic eDp4"}):
                answer = requests.request(method, address, headers=headers, json={}, timeout=30)
                known = {200, 404, 405} if path in PUBLIC else {401}
                assert answer.status_code in known, (method, path, answer.status_code)
                if answer.status_code != 200:
                    assert answer.json()["error"]["type"], (method, path)
                assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("header", ["cookie of a member", "client token"])
def test_what_signs_in_elsewhere_signs_in_nobody_here(gateway: Any, header: str) -> None:
    """A browser's session is none of the API's; a client token is for its agent alone."""
    owner = furnish(gateway, "acme")
    minted = owner.talker.post(f"agents/{owner.ids['agent_id']}/tokens", {"end_user": "u1"})
    headers = {
        "cookie of a member": {"Cookie": f"sessionid={session_of(gateway)}"},
        "client token": {"Authorization": f"Bearer {minted['token']}"},
    }[header]
    for method, path in sorted(real_endpoints()):
        if path in PUBLIC or path.startswith("/v1/agents/{agent_id}"):
            continue
        ids = {"name": "bge-m3"} if path in SHARED else owner.ids_of(path)
        address = gateway.url + path.format(**ids)
        answer = requests.request(method, address, headers=headers, json={}, timeout=30)
        assert answer.status_code == 401, (method, path)


def session_of(gateway: Any) -> str:
    from django.test import Client

    client = Client()
    client.force_login(gateway.cast().owner)
    return client.cookies["sessionid"].value
