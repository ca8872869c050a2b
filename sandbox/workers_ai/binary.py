"""Binary answers: at once, or in pieces at a directive's pace, broken off where it says."""

import asyncio

from aiohttp import web

from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.faults import break_off, wait_for_client_to_leave
from sandbox.workers_ai.journal import End
from sandbox.workers_ai.script import Directive

DEFAULT_PIECE_BYTES = 4_096


async def binary_response(
    exchange: Exchange,
    content: bytes,
    *,
    content_type: str,
    headers: dict[str, str],
    directive: Directive,
) -> web.StreamResponse:
    """Send bytes. `truncated_json` halves them, in an answer that is whole as HTTP goes."""
    headers["Content-Type"] = exchange.content_type or content_type
    exchange.record.status = 200
    if directive.truncated_json:
        exchange.record.end(End.FAULT)
        content = content[: len(content) // 2]
    if goes_in_pieces(directive):
        return await send_in_pieces(exchange, content, headers, directive)
    exchange.record.chunks_sent = 1
    return web.Response(body=content, headers=headers)


def goes_in_pieces(directive: Directive) -> bool:
    keys = ("piece_bytes", "cut_after", "end_after", "stall_after")
    return bool(directive.chunk_s) or any(getattr(directive, key) is not None for key in keys)


async def send_in_pieces(
    exchange: Exchange, content: bytes, headers: dict[str, str], directive: Directive
) -> web.StreamResponse:
    """Pieces without a length told beforehand, as speech comes while it is being made."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(exchange.request)
    size = directive.piece_bytes or DEFAULT_PIECE_BYTES
    for start in range(0, len(content), size):
        if directive.chunk_s and start:
            await asyncio.sleep(directive.chunk_s)
        if not await goes_on(exchange, directive):
            break
        await response.write(content[start : start + size])
        exchange.record.chunks_sent += 1
    else:
        await goes_on(exchange, directive)
    await response.write_eof()
    return response


async def goes_on(exchange: Exchange, directive: Directive) -> bool:
    """Play the faults due after the pieces sent so far. False: it ends here."""
    sent = exchange.record.chunks_sent
    if directive.stall_after == sent:
        if directive.stall_s is None:
            await wait_for_client_to_leave()
        await asyncio.sleep(directive.stall_s or 0)
    if directive.cut_after == sent:
        exchange.record.end(End.FAULT)
        await break_off(exchange.request)
    if directive.end_after == sent:
        exchange.record.end(End.FAULT)
        return False
    return True
