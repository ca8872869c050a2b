"""Refusals of the web server itself, in OpenAI's envelope like all others.

What is no valid HTTP never becomes a request: gunicorn answers it, and with a page. It has no
hook for the form of that answer, so its function for it is replaced (agentflare/gunicorn.py).
"""

import socket
from http import HTTPStatus

import orjson
from gunicorn import util  # type: ignore[import-untyped]

from agentflare.errors import GatewayError, InvalidRequestError
from agentflare.ids import uuid7

_LONGEST_REASON = 300
_MESSAGES = {
    HTTPStatus.REQUEST_URI_TOO_LONG: "The URL is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers of the request are too large: at "
    "most 100 of them are taken, of 8190 bytes each.",
    HTTPStatus.EXPECTATION_FAILED: "The header Expect can only be '100-continue'.",
    HTTPStatus.NOT_IMPLEMENTED: "This transfer coding is not supported. Send the body with a "
    "Content-Length, or chunked.",
}


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """In place of gunicorn.util.write_error, whose arguments these are."""
    error = _refusal(status_int, mesg)
    body = orjson.dumps(error.body())
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "x-request-id": f"req_{uuid7().hex}",
        "Access-Control-Allow-Origin": "*",
        **error.headers,
    }
    lines = [f"HTTP/1.1 {status_int} {HTTPStatus(status_int).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    util.write_nonblock(sock, "\r\n".join([*lines, "", ""]).encode("latin1") + body)


def _refusal(status: int, reason: str) -> GatewayError:
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return GatewayError("The server had an error while processing your request.")
    # What the client sent may stand in it, in any encoding.
    told = reason[:_LONGEST_REASON].encode(errors="replace").decode()
    message = _MESSAGES.get(HTTPStatus(status), f"The request is not valid HTTP: {told}")
    # The same bytes would be refused again; clients retry a 501 unless told.
    return InvalidRequestError(message, headers={"x-should-retry": "false"})
