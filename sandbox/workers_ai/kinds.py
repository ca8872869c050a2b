"""Which module answers for which kind of model. A new kind is a module and a line here."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.chat.handler import answer_chat
from sandbox.workers_ai.chat.inputs import Surface
from sandbox.workers_ai.errors import NotServedYetError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.image_to_text import describe_image


async def answer_run(exchange: Exchange, model: Model) -> web.StreamResponse:
    """A call on /ai/run/{model}: the body is whatever that kind of model takes."""
    handler = RUN_HANDLERS.get(model.kind)
    if handler is None:
        raise NotServedYetError(f"the sandbox does not serve this kind yet ({model.kind})")
    return await handler(exchange, model)


async def answer_fields(
    exchange: Exchange, model: Model, fields: dict[str, Any], surface: Surface
) -> web.StreamResponse:
    """A call whose fields have been read already: in the unified form, or OpenAI's chat."""
    handler = FIELD_HANDLERS.get(model.kind)
    if handler is None:
        raise NotServedYetError(f"the sandbox does not serve this kind yet ({model.kind})")
    return await handler(exchange, model, fields, surface)


async def _run_chat(exchange: Exchange, model: Model) -> web.StreamResponse:
    return await answer_chat(exchange, model, await exchange.json_body(), Surface.RUN)


RunHandler = Callable[[Exchange, Model], Awaitable[web.StreamResponse]]
FieldHandler = Callable[[Exchange, Model, dict[str, Any], Surface], Awaitable[web.StreamResponse]]

RUN_HANDLERS: dict[str, RunHandler] = {
    "chat": _run_chat,
    "moderation": _run_chat,
    "image-to-text": describe_image,
}
FIELD_HANDLERS: dict[str, FieldHandler] = {"chat": answer_chat, "moderation": answer_chat}
