"""What another tenant, another end user, or a token that is over sees of an agent: nothing."""

import time
from typing import Any

import pytest

from agents.client_tokens.tokens import ClientToken
from agents.definitions.objects import agent_uuid
from agents.tests.talker import Talker, script
from tenants.keys.format import parse_key

TURN = {"input": "Hello"}
# Below an agent's address; {c}: a conversation, {t}: a turn.
BELOW = [
    ("GET", "", None),
    ("POST", "", {"name": "Mine"}),
    ("DELETE", "", None),
    ("POST", "/tool_secret", {}),
    ("POST", "/tokens", {"end_user": "x"}),
    ("GET", "/conversations", None),
    ("POST", "/conversations", {}),
    ("GET", "/conversations/{c}", None),
    ("POST", "/conversations/{c}", {"title": "Mine"}),
    ("DELETE", "/conversations/{c}", None),
    ("POST", "/conversations/{c}/fork", {}),
    ("GET", "/conversations/{c}/export", None),
    ("GET", "/conversations/{c}/messages", None),
    ("POST", "/conversations/{c}/messages", {"items": [{"role": "user", "content": "x"}]}),
    ("GET", "/conversations/{c}/turns", None),
    ("POST", "/conversations/{c}/turns", TURN),
    ("GET", "/conversations/{c}/turns/{t}", None),
    ("GET", "/conversations/{c}/turns/{t}?stream=true", None),
    ("POST", "/conversations/{c}/turns/{t}/cancel", {}),
    ("POST", "/conversations/{c}/turns/{t}/retry", {}),
    (
        "POST",
        "/conversations/{c}/turns/{t}/tool_outputs",
        {"outputs": [{"call_id": "x", "output": "x"}]},
    ),
]
# What a client token is not for at all.
KEYS_ALONE = {("POST", ""), ("DELETE", ""), ("POST", "/tool_secret"), ("POST", "/tokens")}


def furnished(talker: Talker, end_user: str = "u1") -> tuple[Any, str, str]:
    agent = talker.agent()
    path = talker.conversation(agent, end_user=end_user)
    turn = talker.post(f"{path}/turns", {"input": script(text="Secret.")})
    return agent, path, turn["id"]


def filled(below: str, path: str, turn: str) -> str:
    return below.replace("{c}", path.rpartition("/")[2]).replace("{t}", turn)


def test_another_tenant_finds_nothing(talker: Talker, gateway: Any) -> None:
    agent, path, turn = furnished(talker)
    stranger = Talker(gateway.base_url, gateway.cast(name="globex").key)
    own, own_path, _ = furnished(stranger)
    for method, below, body in BELOW:
        for base in (f"agents/{agent['id']}", f"agents/{own['id']}"):
            if base.endswith(own["id"]) and "{" not in below:
                continue
            address = base + filled(below, path, turn)
            assert stranger.ask(method, address, body).status_code == 404, (method, address)
    # A turn of somebody else's below a conversation of one's own.
    assert stranger.ask("GET", f"{own_path}/turns/{turn}").status_code == 404
    assert talker.get(f"{path}/messages")["data"][0]["content"][0]["text"] == "Secret."


def test_an_end_user_reads_its_own_conversations_alone(talker: Talker) -> None:
    agent, path, turn = furnished(talker, "u1")
    minted = talker.post(f"agents/{agent['id']}/tokens", {"end_user": "u2"})
    user = Talker(talker.base_url, minted["token"])
    assert minted["expires_at"] > time.time()
    for method, below, body in BELOW:
        address = f"agents/{agent['id']}" + filled(below, path, turn)
        if "{" in below:
            assert user.ask(method, address, body).status_code == 404, (method, address)
        elif (method, below) in KEYS_ALONE:
            assert user.ask(method, address, body).status_code in (401, 404), (method, address)
    assert user.get(f"agents/{agent['id']}/conversations")["data"] == []
    assert set(user.get(f"agents/{agent['id']}")) == {"id", "object", "name", "description"}
    mine = user.conversation(agent, end_user="u1")
    assert user.get(mine)["end_user"] == "u2"
    assert user.post(f"{mine}/turns", {"input": script(text="Hi.")})["status"] == "completed"
    listed = user.get(f"agents/{agent['id']}/conversations?end_user=u1")["data"]
    assert [each["id"] for each in listed] == [mine.rpartition("/")[2]]
    for address in ("agents", "models", "balance", "conversations", "responses"):
        assert user.ask("POST", address, {}).status_code in (401, 405), address
    other = talker.agent()
    assert user.ask("GET", f"agents/{other['id']}").status_code == 404


def test_a_token_for_one_conversation_is_for_that_one(talker: Talker) -> None:
    agent, path, _ = furnished(talker, "u1")
    second = talker.conversation(agent, end_user="u1")
    wanted = {"end_user": "u1", "conversation": path.rpartition("/")[2]}
    minted = talker.post(f"agents/{agent['id']}/tokens", wanted)
    user = Talker(talker.base_url, minted["token"])
    assert user.get(f"{path}/messages")["data"]
    assert user.ask("GET", f"{second}/messages").status_code == 404
    assert user.ask("POST", f"agents/{agent['id']}/conversations", {}).status_code == 404
    assert len(user.get(f"agents/{agent['id']}/conversations")["data"]) == 1
    wrong = {"end_user": "u2", "conversation": wanted["conversation"]}
    assert talker.refusal("POST", f"agents/{agent['id']}/tokens", wrong) == (
        400,
        "conversation_not_found",
        "conversation",
    )


@pytest.mark.parametrize("fault", ["expired", "forged", "foreign key"])
def test_a_token_that_is_none_lets_nobody_in(
    talker: Talker, cast: Any, gateway: Any, fault: str, settings: Any
) -> None:
    agent = talker.agent()
    key = parse_key(cast.key)
    assert key is not None
    number = agent_uuid(agent["id"])
    assert number is not None
    if fault == "forged":
        settings.SECRET_KEY = "x" * 50
    if fault == "foreign key":
        key = type(key)(key.tenant_code, key.key_id, "0" * 64)
    expires_at = int(time.time()) + (-1 if fault == "expired" else 60)
    token = ClientToken(key, number, "u1", expires_at).dumps()
    user = Talker(gateway.base_url, token)
    assert user.refusal("GET", f"agents/{agent['id']}")[:2] == (401, "invalid_api_key")


def test_revoking_a_key_ends_its_tokens(talker: Talker, cast: Any) -> None:
    from tenants.keys.models import ApiKey
    from tenants.keys.services import revoke_api_key
    from tenants.registry.schemas import tenant_schema

    agent = talker.agent()
    minted = talker.post(f"agents/{agent['id']}/tokens", {"end_user": "u1"})
    user = Talker(talker.base_url, minted["token"])
    assert user.ask("GET", f"agents/{agent['id']}").status_code == 200
    with tenant_schema(cast.code):
        row = ApiKey.objects.get(key_id=cast.key[9:17])
    revoke_api_key(tenant=cast.tenant, key_id=row.key_id, actor=cast.owner.email)
    deadline = time.monotonic() + 3
    while user.ask("GET", f"agents/{agent['id']}").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
