"""Faults that concern a whole answer. Those in the middle of a stream are in `streams`."""

import asyncio
import socket
import struct

from aiohttp import web

from sandbox.workers_ai.errors import BusyError, GatewayError, ScriptedError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.journal import End
from sandbox.workers_ai.script import Directive, ScriptedFailure

EDGE_PAGE = """<!DOCTYPE html>
<html lang="en-US">
<head><title>api.cloudflare.com | {status}: A timeout occurred</title></head>
<body><h1>Error {status}</h1>
<p>A page of the sandbox, in place of one of the network's edge.</p></body>
</html>
"""


async def play_faults(exchange: Exchange, directive: Directive) -> web.StreamResponse | None:
    """Do what the directive wants before, or instead of, an answer. None: go on and answer."""
    if directive.delay_s:
        await asyncio.sleep(directive.delay_s)
    if directive.busy_s is not None:
        if exchange.rejects_if_busy:
            exchange.record.end(End.FAULT)
            raise BusyError
        await asyncio.sleep(directive.busy_s)
    if directive.hang:
        await wait_for_client_to_leave()
    if directive.reset:
        exchange.record.end(End.FAULT)
        await reset_connection(exchange.request)
    if directive.html is not None:
        exchange.record.end(End.FAULT)
        exchange.record.status = directive.html
        page = EDGE_PAGE.format(status=directive.html)
        return web.Response(text=page, status=directive.html, content_type="text/html")
    if directive.gateway_error is not None:
        exchange.record.end(End.FAULT)
        failure = directive.gateway_error
        raise GatewayError(
            status=failure.status, code=failure.code, text=failure.message, form=failure.body
        )
    for failure_or_none in (directive.error, directive.success_false):
        if failure_or_none is not None:
            exchange.record.end(End.FAULT)
            raise scripted_error(failure_or_none)
    return None


def scripted_error(failure: ScriptedFailure) -> ScriptedError:
    return ScriptedError(status=failure.status, code=failure.code, text=failure.message)


async def wait_for_client_to_leave() -> None:
    """Silence. Ends only by the cancellation that a closed connection brings."""
    await asyncio.Event().wait()


async def reset_connection(request: web.Request) -> None:
    """Close with a TCP reset and no answer."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        linger_on_for_0_s = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_on_for_0_s)
        transport.abort()
    await wait_for_client_to_leave()


async def break_off(request: web.Request) -> None:
    """Close in the middle of an answer: what was written arrives, its end never does."""
    transport = request.transport
    if transport is not None:
        for _ in range(1000):
            if transport.is_closing() or not transport.get_write_buffer_size():
                break
            await asyncio.sleep(0.005)
        transport.abort()
    await wait_for_client_to_leave()


async def send_truncated(
    exchange: Exchange, response: web.Response, *, cut_connection: bool
) -> web.StreamResponse:
    """Send the first half of a JSON answer.

    cut_connection: under the whole answer's Content-Length, so that HTTP itself is broken;
        otherwise as a complete HTTP answer holding half the JSON.
    """
    exchange.record.end(End.FAULT)
    body = response.body
    assert isinstance(body, bytes)
    half = body[: len(body) // 2]
    if not cut_connection:
        response.body = half
        return response
    partial = web.StreamResponse(status=response.status, headers=exchange.headers())
    partial.content_type = "application/json"
    partial.content_length = len(body)
    await partial.prepare(exchange.request)
    await partial.write(half)
    await break_off(exchange.request)
    return partial
