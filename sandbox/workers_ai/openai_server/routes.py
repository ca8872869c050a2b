"""Paths below /openai/v1, or /openai/ACCOUNT/v1 where a test wants several servers in one."""

import re
from urllib.parse import unquote

from aiohttp import web

from sandbox.workers_ai.errors import BadInputError, MethodNotAllowedError, NoRouteError
from sandbox.workers_ai.exchange import Exchange, Services
from sandbox.workers_ai.openai_server.completions import complete_chat, complete_text
from sandbox.workers_ai.openai_server.embeddings import embed
from sandbox.workers_ai.openai_server.models import LISTED, model_list

DEFAULT_ACCOUNT = "openai"

PATH = re.compile(r"/openai(?:/([A-Za-z0-9_-]{1,64}))?/v1/(.*)", re.DOTALL)
HANDLERS = {
    "chat/completions": complete_chat,
    "completions": complete_text,
    "embeddings": embed,
}


def open_openai_exchange(request: web.Request, services: Services) -> Exchange:
    """The exchange of a call, on record from here on."""
    path = unquote(request.rel_url.raw_path)
    match = PATH.fullmatch(path)
    account = (match[1] or DEFAULT_ACCOUNT) if match else ""
    record = services.journal.open(
        account=account, method=request.method, path=path, headers=dict(request.headers)
    )
    exchange = Exchange(services=services, request=request, record=record, account=account)
    record.request_id = exchange.request_id
    exchange.extra_headers = {"x-request-id": exchange.request_id}
    return exchange


async def route_openai(exchange: Exchange) -> web.StreamResponse:
    match = PATH.fullmatch(exchange.record.path)
    if match is None:
        raise NoRouteError
    path, method = match[2], exchange.request.method
    if path == "models" and method == "GET":
        return exchange.json_response(model_list())
    if path.removeprefix("models/") in LISTED and method == "GET":
        rows = model_list()["data"]
        return exchange.json_response(rows[LISTED.index(path.removeprefix("models/"))])
    handler = HANDLERS.get(path)
    if handler is None:
        raise NoRouteError
    if method != "POST":
        raise MethodNotAllowedError(method)
    body = await exchange.json_body()
    model_id = body.get("model")
    if not isinstance(model_id, str) or not model_id:
        raise BadInputError("you must provide a model parameter")
    exchange.record.model = model_id
    return await handler(exchange, body)
