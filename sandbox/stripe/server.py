"""The stand-in as an aiohttp application: the API, the pages, the controls."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from sandbox.stripe import api
from sandbox.stripe.api import Services
from sandbox.stripe.clock import keep_time
from sandbox.stripe.controls import CONTROLS, control_handler
from sandbox.stripe.errors import ApiError
from sandbox.stripe.faults import ConnectionCutError
from sandbox.stripe.pages import documents, pay, portal_page, three_d_secure
from sandbox.stripe.pages.layout import not_found
from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Store
from sandbox.stripe.webhook_endpoints import ensure_first
from sandbox.stripe.webhooks import Webhooks

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 2**20

Page = Callable[[web.Request, Services], Awaitable[web.Response]]

PAGES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/c/pay/{id}", pay.show),
    ("POST", "/c/pay/{id}", pay.pay),
    ("GET", "/3ds/{id}/{secret}", three_d_secure.show),
    ("POST", "/3ds/{id}/{secret}", three_d_secure.answer),
    ("GET", "/receipts/{id}/{secret}", documents.receipt),
    ("GET", "/i/{id}/{secret}", documents.invoice),
    ("GET", "/i/{id}/{secret}/pdf", documents.invoice_pdf),
    ("GET", "/p/session/{secret}", portal_page.show),
    ("POST", "/p/session/{secret}", portal_page.change),
)

services_key = web.AppKey("services", Services)


def make_app(settings: Settings, url: str) -> web.Application:
    """url: our own address, without a slash at its end."""
    store = Store(settings)
    store.url = url
    services = Services(settings, store, Webhooks(store, settings))
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[services_key] = services
    app.cleanup_ctx.append(run_services)
    app.router.add_get("/health", health)
    for method, path, page in PAGES:
        app.router.add_route(method, path, page_handler(page, services))
    for method, path, control in CONTROLS:
        app.router.add_route(method, f"/__sandbox/{path}", control_handler(control, services))
    app.router.add_route("*", "/v1/{path:.*}", serve_api)
    app.router.add_route("*", "/{path:.*}", nothing_here)
    return app


async def run_services(app: web.Application) -> AsyncIterator[None]:
    services = app[services_key]
    unit = services.unit()
    ensure_first(unit)
    unit.commit()
    await services.webhooks.start()
    clock = asyncio.create_task(keep_time(services))
    yield
    clock.cancel()
    await services.webhooks.stop()
    services.store.close()


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def nothing_here(request: web.Request) -> web.Response:
    return not_found()


def page_handler(
    page: Page, services: Services
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return await page(request, services)

    return handle


async def serve_api(request: web.Request) -> web.Response:
    try:
        return await api.answer(request, request.app[services_key])
    except ConnectionCutError:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    except web.HTTPException:
        raise
    except Exception:
        # Our own fault, and to be seen as one.
        logger.exception("%s %s failed", request.method, request.path)
        error = ApiError(500, is_kept=False)
        return web.json_response(error.body(), status=error.status)
