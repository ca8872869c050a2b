"""From a WSGI request that asks for a WebSocket to its session, past Django's handler.

A request and a response of Django's for each connection would be most of what an idle one takes.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from agentflare import logs
from agentflare.api import as_gateway_error, error_response
from agentflare.errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    ServiceUnavailableError,
)
from agentflare.ids import uuid7
from agents.sockets import open_sockets
from agents.sockets.agent_session import AgentSession
from agents.sockets.codes import Code
from agents.sockets.connection import Connection, SocketClosedError
from agents.sockets.door import SUBPROTOCOL, let_in
from agents.sockets.response_session import ResponseSession
from tenants.keys.models import Scope

logger = logging.getLogger(__name__)
# A picture of four megabytes, as JSON.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_AGENT = re.compile(r"/v1/agents/(?P<agent_id>[^/]+)/ws/?")
_RESPONSES = re.compile(r"/v1/responses/?")

StartResponse = Callable[..., Any]


def serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """To its end. A refusal before it is open is an HTTP answer, as clients expect.

    Raises StopIteration afterwards: for gunicorn the connection is over then.
    """
    request_id = uuid7().hex
    logs.bind(request_id=request_id)
    try:
        try:
            session = _opened(environ)
        finally:
            connections.close_all()
    except Exception as exc:
        error = as_gateway_error(exc)
        if error is None:
            raise
        return _refuse(error, start_response, request_id=request_id)
    try:
        session.run()
    except SocketClosedError:
        pass  # the client's good right
    except Exception:  # nobody above could tell the client
        logger.exception("A WebSocket broke")
        session.connection.close(1011, "a fault of ours")
    finally:
        open_sockets.remove(session)
        session.end()
        session.connection.close(Code.NORMAL)
        session.connection.drain()
        connections.close_all()
    raise StopIteration


def _opened(environ: dict[str, Any]) -> AgentSession | ResponseSession:
    """Raises GatewayError."""
    path = environ["PATH_INFO"]
    agent = _AGENT.fullmatch(path)
    if agent is None and not _RESPONSES.fullmatch(path):
        raise NotFoundError(f"Invalid URL (WebSocket {path})")
    if environ["REQUEST_METHOD"] != "GET":
        raise InvalidRequestError("A WebSocket is opened by a GET.")
    if "gunicorn.socket" not in environ:
        raise ServiceUnavailableError("This server speaks no WebSocket.")
    if open_sockets.count() >= open_sockets.MAX_OPEN:
        raise ServiceUnavailableError("Too many WebSockets are open here. Retry shortly.")
    try:
        connection = Connection(environ, max_message_bytes=MAX_MESSAGE_BYTES)
    except (LocalProtocolError, RemoteProtocolError, UnicodeError) as exc:
        raise InvalidRequestError(f"This is no request for a WebSocket: {exc}.") from None
    scope = Scope.AGENTS if agent else Scope.INFERENCE
    visitor = let_in(environ, connection.offered, scope=scope)
    if visitor.token is not None and agent is None:
        raise NotFoundError("A client token is not for this.", code="not_for_client_tokens")
    session = (
        AgentSession(connection, visitor, agent["agent_id"])
        if agent
        else ResponseSession(connection, visitor)
    )
    session.check()
    connection.accept(SUBPROTOCOL if SUBPROTOCOL in connection.offered else None)
    open_sockets.add(session)
    return session


def _refuse(
    error: GatewayError, start_response: StartResponse, *, request_id: str
) -> Iterable[bytes]:
    response = error_response(error)
    response["x-request-id"] = f"req_{request_id}"
    status = f"{response.status_code} {response.reason_phrase}"
    start_response(status, [*response.items(), ("Connection", "close")])
    return [response.content]
