"""Tools of servers that speak the Model Context Protocol over streamable HTTP.

As specified in revision 2025-06-18: JSON-RPC by POST, answered as JSON or as server-sent events;
`initialize` first, whose answer may name a session that all that follows must tell. Nothing but
tools is asked for.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from agents.tools import mcp_listings
from agents.tools.http_tool import Result, post
from agents.tools.toolbox import declared

PROTOCOL = "2025-06-18"
_MAX_TOOLS, _MAX_LISTED, _MAX_PAGES = 128, 1_000, 10
# A model's name for a tool of a server.
_MAX_NAME = 64


class McpError(Exception):
    """Why not, as the model reads it."""


@dataclass(slots=True)
class McpServer:
    label: str
    url: str
    headers: Mapping[str, str]
    timeout_s: int
    _session: str = ""
    _version: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _beginning: threading.Lock = field(default_factory=threading.Lock)

    def tools(self, allowed: list[str] | None) -> list["McpTool"]:
        """As the server told them within the last minute. Raises McpError."""
        listing = mcp_listings.remembered(self._key)
        if listing is None:
            listing = self._list()
            mcp_listings.remember(self._key, listing)
        wanted = [told for told in listing if allowed is None or told.get("name") in allowed]
        return [McpTool.of(self, told) for told in wanted[:_MAX_TOOLS]]

    def call(self, name: str, arguments: Any) -> str:
        """Raises McpError."""
        try:
            self._initialize()
            result = self._ask("tools/call", {"name": name, "arguments": arguments})
        except McpError:
            # Perhaps it has other tools by now.
            mcp_listings.forget(self._key)
            raise
        text = "\n".join(_text(part) for part in _as_list(result.get("content")))
        if not text and "structuredContent" in result:
            text = orjson.dumps(result["structuredContent"]).decode()
        return f"Error: {text}" if result.get("isError") else text

    @property
    def _key(self) -> mcp_listings.Key:
        return self.url, tuple(sorted(self.headers.items()))

    def _list(self) -> list[dict[str, Any]]:
        self._initialize()
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = self._ask("tools/list", {"cursor": cursor} if cursor else {})
            found += [told for told in _as_list(page.get("tools")) if isinstance(told, dict)]
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or not cursor or len(found) >= _MAX_LISTED:
                break
        return found

    def _initialize(self) -> None:
        """Once, before anything else is asked."""
        with self._beginning:
            if self._version:
                return
            result = self._ask(
                "initialize",
                {
                    "protocolVersion": PROTOCOL,
                    "capabilities": {},
                    "clientInfo": {"name": "agentflare", "version": "1"},
                },
            )
            self._version = str(result.get("protocolVersion") or PROTOCOL)
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer = self._send(message, answer_to=number)
        for message in _messages(answer):
            if message.get("id") != number:
                continue
            if isinstance(error := message.get("error"), dict):
                raise McpError(str(error.get("message"))[:2000])
            result = message.get("result")
            return result if isinstance(result, dict) else {}
        raise McpError(f"the server {self.label} did not answer {method}.")

    def _send(self, message: Mapping[str, Any], *, answer_to: int | None = None) -> Result:
        headers = {
            **self.headers,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        if self._version:
            headers["MCP-Protocol-Version"] = self._version
        answer = post(
            self.url,
            orjson.dumps(message),
            headers,
            timeout_s=self.timeout_s,
            is_enough=lambda event: _has_answer(event.decode(errors="replace"), answer_to),
        )
        if answer.status is None:
            raise McpError(f"the server {self.label} cannot be reached: {answer.text}")
        if not 200 <= answer.status < 300:
            raise McpError(f"the server {self.label} answered with status {answer.status}.")
        self._session = self._session or _session(answer)
        return answer


@dataclass(frozen=True, slots=True)
class McpTool:
    server: McpServer
    name: str
    own_name: str
    description: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, server: McpServer, told: Mapping[str, Any]) -> "McpTool":
        own_name = str(told.get("name"))
        clean = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in own_name)
        schema = told.get("inputSchema")
        return cls(
            server,
            f"{server.label}_{clean}"[:_MAX_NAME],
            own_name,
            str(told.get("description") or "")[:2000],
            schema if isinstance(schema, dict) else {"type": "object", "properties": {}},
        )

    def declaration(self) -> dict[str, Any]:
        return declared(self.name, self.description, self.parameters)

    def run(self, call: Mapping[str, Any]) -> str:
        try:
            arguments = orjson.loads(call["arguments"] or "{}")
        except orjson.JSONDecodeError:
            return "Error: the arguments are no JSON."
        try:
            return self.server.call(self.own_name, arguments)
        except McpError as exc:
            return f"Error: {exc}"


def _messages(answer: Result) -> Iterator[dict[str, Any]]:
    """What an answer holds, whichever of the two forms it has. Raises McpError."""
    is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
    for text in _events(answer.text) if is_stream else [answer.text]:
        if not text:
            continue
        try:
            told = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise McpError("the server sent no JSON.") from None
        for message in told if isinstance(told, list) else [told]:
            if isinstance(message, dict):
                yield message


def _events(stream: str) -> Iterator[str]:
    """The data of server-sent events."""
    for event in stream.replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in event.split("\n") if line.startswith("data:")]
        yield "\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines)


def _has_answer(stream: str, number: int | None) -> bool:
    for text in filter(None, _events(stream)):
        try:
            told = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(told, dict) and told.get("id") == number:
            return True
    return False


def _session(answer: Result) -> str:
    given = answer.headers.get("mcp-session-id", "")
    is_visible = given.isascii() and given.isprintable() and len(given) <= 512
    return given if is_visible else ""


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    if part.get("type") == "text":
        return str(part.get("text", ""))
    if part.get("type") == "resource" and isinstance(resource := part.get("resource"), dict):
        return str(resource.get("text") or f"(resource {resource.get('uri')})")
    return f"({part.get('type')} left out)"
