"""Tools that we run: signed requests, MCP servers, and what goes wrong with them."""

import json
import time
from ipaddress import ip_network
from typing import Any

import pytest
from standardwebhooks import Webhook

from agents.tests.talker import Talker, script
from agents.tools.http_tool import MAX_RESULT_BYTES, HttpTool
from agents.tools.mcp import McpError, McpServer
from agents.tools.tests.servers import mcp_answer, serving
from tenants.webhooks import signing

SEARCH: dict[str, Any] = {
    "name": "search",
    "description": "Finds",
    "inputSchema": {"type": "object"},
}
READ: dict[str, Any] = {"name": "read file!", "inputSchema": {"type": "object"}}
CALL = {"call_id": "call_1", "name": "f", "arguments": '{"q": 1}'}


@pytest.fixture
def reachable(settings: Any) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    settings.SANDBOX = True


def http_tool(url: str, **fields: Any) -> HttpTool:
    given = {"headers": {"X-Mine": "1"}, "timeout_s": 2, "secret": signing.make_secret(), **fields}
    return HttpTool("f", "", {"type": "object"}, url, **given)


@pytest.mark.usefixtures("reachable")
def test_a_request_to_a_tool_is_signed_and_has_the_arguments() -> None:
    with serving(lambda *_: (200, {}, b"31 C")) as server:
        tool = http_tool(server.url)
        assert tool.run(CALL) == "31 C"
    ((headers, body),) = server.asked
    assert json.loads(body) == {"q": 1}
    assert (headers["x-mine"], headers["webhook-id"]) == ("1", "call_1")
    Webhook(tool.secret).verify(body, headers)


@pytest.mark.usefixtures("reachable")
def test_what_goes_wrong_is_told_to_the_model() -> None:
    def slow(*_: Any) -> Any:
        time.sleep(2)
        return 200, {}, b"late"

    cases: list[tuple[Any, str]] = [
        (lambda *_: (500, {}, b"broken"), "answered with status 500: broken"),
        (lambda *_: (302, {"Location": "http://127.0.0.1/"}, b""), "answered with status 302"),
        (lambda *_: (200, {}, b"x" * (MAX_RESULT_BYTES + 1)), "sent more than"),
        (slow, "it took too long"),
    ]
    for answer, told in cases:
        with serving(answer) as server:
            result = http_tool(server.url, timeout_s=1).run(CALL)
        assert result.startswith("Error: ")
        assert told in result
    assert "could not be reached" in http_tool("http://127.0.0.1:1/").run(CALL)


def test_no_private_address_is_reached() -> None:
    for url in (
        "https://127.0.0.1/",
        "https://169.254.169.254/",
        "https://[::1]/",
        "https://10.1/",
    ):
        assert "not on the public internet" in http_tool(url).run(CALL), url
    assert "only https" in http_tool("http://example.com/").run(CALL)


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize("as_events", [False, True])
def test_an_mcp_server_tells_its_tools_and_runs_them(as_events: bool) -> None:
    def call(name: str, arguments: Any) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": f"{name} {arguments['q']}"}]}

    with serving(mcp_answer([SEARCH, READ], call, as_events=as_events)) as server:
        mcp = McpServer("files", server.url, {"X-Key": "k"}, 2)
        tools = mcp.tools(None)
        assert [tool.name for tool in tools] == ["files_search", "files_read_file_"]
        assert tools[1].run({"call_id": "c", "arguments": '{"q": 7}'}) == "read file! 7"
        assert [tool.name for tool in mcp.tools(["search"])] == ["files_search"]
        assert tools[0].run({"call_id": "c", "arguments": "nonsense"}).startswith("Error: ")
    assert all(headers["x-key"] == "k" for headers, _ in server.asked)
    versions = [headers.get("mcp-protocol-version") for headers, _ in server.asked]
    assert versions[0] is None
    assert versions[2] == "2025-06-18"


@pytest.mark.usefixtures("reachable")
def test_an_mcp_server_is_asked_for_its_tools_once_in_a_minute() -> None:
    fails = False

    def call(name: str, _: Any) -> dict[str, Any]:
        if fails:
            raise ConnectionError
        return {"content": [{"type": "text", "text": name}]}

    def asked() -> list[str]:
        return [json.loads(body)["method"] for _, body in server.asked]

    listed = ["initialize", "notifications/initialized", "tools/list", "tools/list"]
    with serving(mcp_answer([SEARCH, READ], call, as_events=False)) as server:
        McpServer("files", server.url, {"X-Key": "k"}, 2).tools(None)
        assert asked() == listed
        server.asked.clear()

        (tool, *_) = McpServer("kb", server.url, {"X-Key": "k"}, 2).tools(None)
        assert tool.name == "kb_search"
        assert asked() == []
        # Only now it is greeted, once for all calls.
        assert [tool.run({"arguments": "{}"}) for _ in range(2)] == ["search", "search"]
        assert asked() == [*listed[:2], "tools/call", "tools/call"]
        server.asked.clear()

        McpServer("files", server.url, {"X-Key": "other"}, 2).tools(None)
        assert asked() == listed
        server.asked.clear()
        fails = True
        assert tool.run({"arguments": "{}"}).startswith("Error: ")
        server.asked.clear()
        McpServer("files", server.url, {"X-Key": "k"}, 2).tools(None)
        assert asked() == listed


@pytest.mark.usefixtures("reachable")
def test_an_mcp_servers_faults_are_told() -> None:
    def fails(_: str, __: Any) -> dict[str, Any]:
        return {"isError": True, "content": [{"type": "text", "text": "no such file"}]}

    with serving(mcp_answer([SEARCH], fails, as_events=False)) as server:
        (tool, *_) = McpServer("files", server.url, {}, 2).tools(None)
        assert tool.run({"call_id": "c", "arguments": "{}"}) == "Error: no such file"
    for answer in (
        lambda *_: (500, {}, b""),
        lambda *_: (200, {"Content-Type": "application/json"}, b"<html>"),
        lambda *_: (200, {"Content-Type": "application/json"}, b'{"jsonrpc": "2.0", "id": 99}'),
    ):
        with serving(answer) as server, pytest.raises(McpError):
            McpServer("files", server.url, {}, 2).tools(None)


def test_an_agent_runs_its_tools_in_one_turn(talker: Talker) -> None:
    def call(name: str, arguments: Any) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": f"found {arguments['q']}"}]}

    with (
        serving(lambda body, _: (200, {}, b"31 C in " + json.loads(body)["city"].encode())) as one,
        serving(mcp_answer([SEARCH], call, as_events=True)) as other,
    ):
        agent = talker.agent(
            tools=[
                {
                    "type": "http",
                    "name": "weather",
                    "url": one.url,
                    "headers": {"X-Token": "secret-1"},
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
                {"type": "mcp", "server_label": "kb", "server_url": other.url},
            ]
        )
        assert agent["tools"][0]["headers"] == {"X-Token": "********"}
        path = talker.conversation(agent)
        asked = script(
            tool_calls=[
                {"name": "weather", "arguments": {"city": "Lima"}},
                {"name": "kb_search", "arguments": {"q": "x1"}},
            ],
            after_tools={"text": "It is warm."},
        )
        turn = talker.post(f"{path}/turns", {"input": asked})
    assert turn["status"] == "completed"
    assert [item["type"] for item in turn["output"]] == [
        *("function_call", "function_call"),
        *("function_call_output", "function_call_output"),
        "message",
    ]
    assert [item["output"] for item in turn["output"][2:4]] == ["31 C in Lima", "found x1"]
    assert len(turn["steps"]) == 2
    headers, body = one.asked[0]
    assert headers["x-token"] == "secret-1"
    Webhook(agent["tool_secret"]).verify(body, headers)
    # A header that is sent back as it was shown stays; with another address it does not go along.
    changed = {"tools": [{**agent["tools"][0], "description": "New"}]}
    assert talker.post(f"agents/{agent['id']}", changed)["tools"][0]["description"] == "New"


def test_a_model_that_never_stops_calling_is_stopped(talker: Talker) -> None:
    with serving(lambda *_: (200, {}, b"again")) as server:
        agent = talker.agent(
            tools=[{"type": "http", "name": "again", "url": server.url}], limits={"max_steps": 3}
        )
        call = [{"name": "again", "arguments": {}}]
        asked = script(tool_calls=call, after_tools={"tool_calls": call})
        turn = talker.post(f"{talker.conversation(agent)}/turns", {"input": asked})
    assert turn["status"] == "incomplete"
    assert turn["incomplete_details"] == {"reason": "max_steps"}
    assert len(turn["steps"]) == 3
    assert len(server.asked) == 3


def test_an_mcp_server_that_is_away_refuses_the_turn(talker: Talker) -> None:
    agent = talker.agent(
        tools=[{"type": "mcp", "server_label": "kb", "server_url": "http://127.0.0.1:1/"}]
    )
    path = talker.conversation(agent)
    refused = talker.refusal("POST", f"{path}/turns", {"input": "Hello"})
    assert refused == (424, "tool_server_failed", "tools")
    assert talker.get(f"{path}/turns")["data"] == []


def test_tools_that_make_no_sense_are_refused(talker: Talker) -> None:
    good = {"name": "Ana", "model": "qwen-3-30b"}
    http = {"type": "http", "name": "f", "url": "http://127.0.0.1/"}
    for tools, param in (
        ([{**http, "url": "ftp://x.example/"}], "tools[0].url"),
        ([{**http, "url": "http://a:b@x.example/"}], "tools[0].url"),
        ([{**http, "headers": {"Host": "x"}}], "tools[0].headers"),
        ([{**http, "name": "a b"}], "tools[0].name"),
        ([http, http], "tools[1]"),
        ([{"type": "web_search"}], "tools[0]"),
    ):
        status, _, told = talker.refusal("POST", "agents", {**good, "tools": tools})
        assert (status, told) == (400, param), tools
