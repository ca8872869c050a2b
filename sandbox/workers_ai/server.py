"""Routes, authentication, and the record of every call."""

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.workers_ai.analytics import dataset
from sandbox.workers_ai.analytics.books import Books, Drift
from sandbox.workers_ai.catalogue import Catalogue, Model
from sandbox.workers_ai.chat.inputs import Surface
from sandbox.workers_ai.errors import (
    AuthenticationError,
    BadInputError,
    GatewayError,
    InvalidAccountError,
    MethodNotAllowedError,
    MissingHeaderOrBodyError,
    NoRouteError,
    NoSuchLogError,
    NotServedYetError,
    RequestTooLargeError,
    StandInError,
)
from sandbox.workers_ai.exchange import Exchange, Services, enveloped
from sandbox.workers_ai.gateway import answer_through_cache
from sandbox.workers_ai.journal import End
from sandbox.workers_ai.kinds import answer_embeddings, answer_fields, answer_run
from sandbox.workers_ai.local_model import LocalModel
from sandbox.workers_ai.models_list import ModelsList
from sandbox.workers_ai.openai_server.errors import error_body, status_of
from sandbox.workers_ai.openai_server.routes import open_openai_exchange, route_openai
from sandbox.workers_ai.settings import Settings
from sandbox.workers_ai.small_models import SmallModels

MAX_BODY_BYTES = 100 * 2**20

API_PATH = re.compile(r"/client/v4/accounts/([^/]+)/(.*)", re.DOTALL)
ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

GRAPHQL_PATH = "/client/v4/graphql"
LOG_PATH = re.compile(r"ai-gateway/gateways/([A-Za-z0-9_-]{1,64})/logs/([A-Za-z0-9_-]{1,64})")

NOT_SERVED_PATHS = ("ai/v1/responses", "ai/v1/messages")

services_key = web.AppKey("services", Services)


def make_app(settings: Settings) -> web.Application:
    """The stand-in as an aiohttp application."""
    services = Services(
        settings=settings,
        catalogue=Catalogue.load(settings.catalogue),
        books=Books(settings.books),
        models_list=ModelsList(json.loads(settings.catalogue.read_text())),
        local_model=LocalModel(settings.model_file, is_wanted=not settings.scripted_only),
        small_models=SmallModels.make(is_wanted=not settings.scripted_only),
    )
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[services_key] = services
    app.on_startup.append(start_local_model)
    app.on_cleanup.append(stop_local_model)
    app.on_response_prepare.append(add_edge_headers)
    app.router.add_get("/health", health)
    app.router.add_get("/__sandbox/calls", list_calls)
    app.router.add_delete("/__sandbox/calls", clear_calls)
    app.router.add_put("/__sandbox/drift", change_drift)
    app.router.add_delete("/__sandbox/drift", change_drift)
    app.router.add_put("/__sandbox/models", change_models)
    app.router.add_delete("/__sandbox/models", change_models)
    app.router.add_route("*", "/openai/{path:.*}", serve_openai)
    app.router.add_route("*", "/{path:.*}", serve_api)
    return app


async def start_local_model(app: web.Application) -> None:
    app[services_key].local_model.start()


async def stop_local_model(app: web.Application) -> None:
    await app[services_key].local_model.stop()
    await app[services_key].small_models.stop()


async def add_edge_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["cf-ray"] = f"{secrets.token_hex(8)}-SBX"
    response.headers["Server"] = "sandbox"


async def health(request: web.Request) -> web.Response:
    services = request.app[services_key]
    return web.json_response(
        {
            "status": "ok",
            "local_model": services.local_model.state,
            "small_models": services.small_models.states(),
            "missed_models": services.small_models.missed(),
        }
    )


async def list_calls(request: web.Request) -> web.Response:
    """GET /__sandbox/calls?since=N&match=text"""
    since = request.query.get("since", "0")
    if not since.isdecimal():
        raise web.HTTPBadRequest(text="since is a call's number")
    journal = request.app[services_key].journal
    found = journal.calls(since=int(since), match=request.query.get("match", ""))
    return web.json_response({"calls": [call.as_json() for call in found]})


async def clear_calls(request: web.Request) -> web.Response:
    services = request.app[services_key]
    services.journal.clear()
    services.failures.clear()
    services.gateway_cache.clear()
    return web.json_response({"calls": []})


async def serve_api(request: web.Request) -> web.StreamResponse:
    """Answer one call of the API and record how it ended."""
    services = request.app[services_key]
    path = unquote(request.rel_url.raw_path)
    match = API_PATH.fullmatch(path)
    account, rest = match.groups() if match else ("", "")
    record = services.journal.open(
        account=account, method=request.method, path=path, headers=dict(request.headers)
    )
    exchange = Exchange(services=services, request=request, record=record, account=account)
    if path == GRAPHQL_PATH:
        return await serve_graphql(exchange)
    try:
        return await recorded(
            exchange,
            lambda: answer_through_cache(exchange, lambda: route(exchange, rest)),
            exchange.error_response,
        )
    finally:
        exchange.write_books()


async def serve_graphql(exchange: Exchange) -> web.StreamResponse:
    """POST /client/v4/graphql: its refusals are GraphQL's, not the API's."""
    try:
        if exchange.request.method != "POST":
            raise dataset.RefusedError(405, "Method not allowed")
        check_token(exchange.request, exchange.services.settings)
        raw = await exchange.request.read()
        exchange.record.keep_body(raw)
        answer = dataset.answer_query(raw, exchange.services.books)
    except AuthenticationError:
        return dataset.refused(dataset.RefusedError(401, "Unauthorized"))
    except dataset.RefusedError as error:
        return dataset.refused(error)
    finally:
        exchange.record.end(End.COMPLETED)
    return exchange.json_response(answer)


async def change_drift(request: web.Request) -> web.Response:
    """PUT /__sandbox/drift {"account", "percent", "neurons", "lag_s", "fails"}; DELETE: none."""
    books = request.app[services_key].books
    if request.method == "DELETE":
        books.drifts.clear()
        return web.json_response({})
    try:
        body = await request.json()
        drift = Drift(
            percent=Decimal(str(body.get("percent", 0))),
            neurons={model: Decimal(str(n)) for model, n in body.get("neurons", {}).items()},
            lag_s=float(body.get("lag_s", 0)),
            fails=bool(body.get("fails", False)),
        )
        books.drifts[body.get("account", "")] = drift
    except (ValueError, ArithmeticError, AttributeError, TypeError) as error:
        raise web.HTTPBadRequest(text=f"no drift: {error}") from error
    return web.json_response(body)


async def change_models(request: web.Request) -> web.Response:
    """PUT /__sandbox/models {"changes": {id: {property: value} | null}, "fails_at", "raw"};
    DELETE: as in the catalogue file."""
    models = request.app[services_key].models_list
    body = {} if request.method == "DELETE" else await request.json()
    models.changes = body.get("changes", {})
    models.fails_at = int(body.get("fails_at", 0))
    models.raw = str(body.get("raw", ""))
    return web.json_response(body)


async def serve_openai(request: web.Request) -> web.StreamResponse:
    """The same for the server that is a plain OpenAI-compatible one."""
    exchange = open_openai_exchange(request, request.app[services_key])

    def refuse(error: StandInError) -> web.Response:
        return exchange.json_response(error_body(error), status=status_of(error))

    return await recorded(exchange, lambda: route_openai(exchange), refuse)


async def recorded(
    exchange: Exchange,
    answer: Callable[[], Awaitable[web.StreamResponse]],
    refuse: Callable[[StandInError], web.Response],
) -> web.StreamResponse:
    """Answer, or refuse, one call that has a token, and record how it ended."""
    record = exchange.record
    try:
        check_token(exchange.request, exchange.services.settings)
        response = await answer()
    except StandInError as error:
        response = refuse(error)
        record.end(End.REFUSED)
    except web.HTTPRequestEntityTooLarge:
        response = refuse(RequestTooLargeError("Request is too large"))
        record.end(End.REFUSED)
    except (asyncio.CancelledError, ConnectionResetError):
        # aiohttp cancels us the moment the connection is lost.
        record.end(End.CLIENT_GONE)
        raise
    except BaseException:
        record.end(End.FAULT)
        raise
    record.end(End.COMPLETED)
    return response


def check_token(request: web.Request, settings: Settings) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or token in settings.reject_tokens:
        raise AuthenticationError


async def route(exchange: Exchange, rest: str) -> web.StreamResponse:
    """`rest`: the path below the account."""
    if not exchange.account:
        raise NoRouteError
    if not ACCOUNT_ID.fullmatch(exchange.account):
        raise InvalidAccountError(exchange.request.path)
    method = exchange.request.method
    if found := LOG_PATH.fullmatch(rest):
        return answer_log(exchange, gateway=found[1], log_id=found[2])
    if rest == "ai/models/search":
        return answer_models_list(exchange)
    if rest == "ai/v1/models":
        raise MethodNotAllowedError(method)
    model_id = rest.removeprefix("ai/run/") if rest.startswith("ai/run/") else ""
    known = ("ai/run", "ai/run/", "ai/v1/chat/completions", "ai/v1/embeddings", *NOT_SERVED_PATHS)
    if rest not in known and not model_id:
        raise NoRouteError
    if method != "POST":
        raise MethodNotAllowedError(method)
    if model_id:
        return await run_direct(exchange, model_id)
    if rest in ("ai/run", "ai/run/"):
        return await run_unified(exchange)
    if rest in NOT_SERVED_PATHS:
        raise NotServedYetError(f"the sandbox does not serve /{rest} yet")
    body, model = await model_in_body(exchange)
    if rest == "ai/v1/embeddings":
        return await answer_embeddings(exchange, model, body)
    return await answer_fields(exchange, model, body, Surface.V1)


def answer_log(exchange: Exchange, *, gateway: str, log_id: str) -> web.Response:
    """GET …/ai-gateway/gateways/{gateway}/logs/{id}"""
    if exchange.request.method != "GET":
        raise MethodNotAllowedError(exchange.request.method)
    lag_s = exchange.services.books.drift_of(exchange.account).lag_s
    row = exchange.services.gateway_logs.find(
        account=exchange.account, gateway=gateway, log_id=log_id, lag_s=lag_s
    )
    if row is None:
        raise NoSuchLogError
    return exchange.json_response(enveloped(row.as_json()))


def answer_models_list(exchange: Exchange) -> web.Response:
    """GET …/ai/models/search?page=&per_page="""
    if exchange.request.method != "GET":
        raise MethodNotAllowedError(exchange.request.method)
    models, query = exchange.services.models_list, exchange.request.query
    if models.raw:
        return web.Response(text=models.raw, content_type="application/json")
    try:
        page, size = int(query.get("page", "1")), int(query.get("per_page", "50"))
    except ValueError:
        raise BadInputError("page and per_page are numbers") from None
    if models.fails_at == page:
        return web.json_response(
            {
                "success": False,
                "errors": [{"code": 7000, "message": "Internal error"}],
                "messages": [],
                "result": None,
            },
            status=500,
        )
    return exchange.json_response(models.page(page, size))


async def run_direct(exchange: Exchange, model_id: str) -> web.StreamResponse:
    """POST /ai/run/{model}"""
    exchange.record.model = model_id
    # Read first: the journal keeps the body of refused calls too.
    exchange.record.keep_body(await exchange.request.read())
    model = exchange.services.catalogue.resolve(model_id)
    exchange.reached_model = True
    if exchange.request.query.get("queueRequest") == "true":
        raise NotServedYetError("the sandbox does not serve batch requests yet")
    return await answer_run(exchange, model)


async def run_unified(exchange: Exchange) -> web.StreamResponse:
    """POST /ai/run, with the model in the body"""
    body = await exchange.json_body()
    model_id, fields = body.get("model"), body.get("input")
    if not isinstance(model_id, str):
        raise BadInputError("required properties at '/' are 'model'")
    exchange.record.model = model_id
    if not model_id.startswith("@"):
        raise GatewayError(status=404, code=7003, text="Model not found")
    if "cf-aig-gateway-id" not in exchange.request.headers:
        raise MissingHeaderOrBodyError("Missing required header cf-aig-gateway-id")
    model = exchange.services.catalogue.resolve(model_id)
    exchange.reached_model = True
    if not isinstance(fields, dict):
        raise BadInputError("required properties at '/' are 'input'")
    options = body.get("options")
    if isinstance(options, dict) and options.get("background"):
        raise NotServedYetError("the sandbox does not serve background calls yet")
    return await answer_fields(exchange, model, fields, Surface.RUN)


async def model_in_body(exchange: Exchange) -> tuple[dict[str, Any], Model]:
    """The body and its model, below /ai/v1"""
    body = await exchange.json_body()
    model_id = body.get("model")
    if not isinstance(model_id, str):
        raise BadInputError("required properties at '/' are 'model'")
    exchange.record.model = model_id
    model = exchange.services.catalogue.resolve(model_id)
    exchange.reached_model = True
    return body, model
