"""Servers of tools, on this machine, for tests."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class ToolServer:
    """asked: headers and body of each request."""

    url: str
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[bytes, dict[str, str]], Answer]) -> Iterator[ToolServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.asked.append((headers, body))
            status, told, content = answer(body, headers)
            self.send_response(status)
            for name, value in told.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ToolServer(f"http://127.0.0.1:{http.server_port}/tool")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()


def mcp_answer(
    tools: list[dict[str, Any]], call: Callable[[str, Any], dict[str, Any]], *, as_events: bool
) -> Callable[[bytes, dict[str, str]], Answer]:
    """A server of the Model Context Protocol that wants its session told."""

    def answer(body: bytes, headers: dict[str, str]) -> Answer:
        message = json.loads(body)
        method, number = message["method"], message.get("id")
        if method != "initialize" and headers.get("mcp-session-id") != "s-1":
            return 400, {}, b"no session"
        if number is None:
            return 202, {}, b""
        if method == "initialize":
            result: dict[str, Any] = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }
        elif method == "tools/list":
            # Two pages.
            first = message["params"].get("cursor") is None
            result = {"tools": tools[:1], "nextCursor": "2"} if first else {"tools": tools[1:]}
        else:
            result = call(message["params"]["name"], message["params"]["arguments"])
        told = json.dumps({"jsonrpc": "2.0", "id": number, "result": result})
        head = {"Mcp-Session-Id": "s-1"}
        if as_events:
            note = json.dumps({"jsonrpc": "2.0", "method": "notifications/message"})
            text = f"event: message\ndata: {note}\n\nevent: message\ndata: {told}\n\n"
            return 200, {**head, "Content-Type": "text/event-stream"}, text.encode()
        return 200, {**head, "Content-Type": "application/json"}, told.encode()

    return answer
