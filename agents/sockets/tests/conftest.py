import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect


class Client:
    """A WebSocket client that speaks JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def receive(self, timeout: float = 20) -> Any:
        return json.loads(self.socket.recv(timeout=timeout))

    def until(self, *kinds: str) -> list[Any]:
        """All that comes, up to the first of these kinds."""
        seen = [self.receive()]
        while seen[-1]["type"] not in kinds:
            seen.append(self.receive())
        return seen


@pytest.fixture
def dial(gateway: Any) -> Iterator[Callable[..., Client]]:
    """Opens a WebSocket below /v1."""
    with ExitStack() as open_ones:

        def open_one(path: str, token: str | None, **options: Any) -> Client:
            url = gateway.base_url.replace("http", "ws", 1)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            socket = connect(f"{url}/{path}", additional_headers=headers, **options)
            return Client(open_ones.enter_context(socket))

        yield open_one
