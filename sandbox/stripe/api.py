"""One API call from its bytes to its answer: key, fault, parameters, idempotency, commit."""

import asyncio
import json
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BasicAuth, web

from sandbox.stripe import idempotency
from sandbox.stripe.call import Call
from sandbox.stripe.errors import (
    ApiError,
    AuthenticationError,
    NotServedError,
    RateLimitError,
    StripeError,
)
from sandbox.stripe.expand import expanded
from sandbox.stripe.faults import Fault, Faults, cut
from sandbox.stripe.forms import Form, read_form
from sandbox.stripe.routes import Route, find_route
from sandbox.stripe.settings import API_VERSION, Settings
from sandbox.stripe.store import Store, Unit
from sandbox.stripe.webhooks import Webhooks

logger = logging.getLogger(__name__)


@dataclass
class Services:
    """What lives as long as the process."""

    settings: Settings
    store: Store
    webhooks: Webhooks
    keys: idempotency.Keys = field(default_factory=idempotency.Keys)
    faults: Faults = field(default_factory=Faults)
    # Of every API call: method, path, key, status. For tests.
    calls: list[dict[str, Any]] = field(default_factory=list)

    def unit(self) -> Unit:
        """For what happens without an API call: a page, the clock."""
        return Unit(self.store)

    def commit(self, unit: Unit) -> None:
        """Write all that the unit did, then send its events."""
        planned = self.webhooks.plan(unit)
        unit.commit()
        for delivery_id in planned:
            self.webhooks.send(delivery_id)


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


async def answer(request: web.Request, services: Services) -> web.Response:
    """Raises ConnectionCutError when it was ordered to give none."""
    request_id = f"req_{secrets.token_hex(7)}"
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    try:
        given = await run(request, services, request_id, key)
    except StripeError as error:
        given = Answer(error.status, error.body())
    services.calls.append(
        {
            "id": request_id,
            "method": request.method,
            "path": request.path,
            "idempotency_key": key,
            "status": given.status,
            "replayed": "Idempotent-Replayed" in given.headers,
        }
    )
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION, **given.headers}
    if key:
        headers["Idempotency-Key"] = key
    return web.Response(
        status=given.status,
        body=json.dumps(given.body, indent=2).encode(),
        headers=headers,
        content_type="application/json",
    )


async def run(request: web.Request, services: Services, request_id: str, key: str | None) -> Answer:
    check_key(request, services.settings)
    check_version(request)
    fault = services.faults.take(request.method, request.path)
    route, ids = find_route(request.method, request.path)
    form = read_form(await request.text() if request.method == "POST" else request.query_string)
    unit = Unit(services.store, request_id=request_id, key=key)
    if fault and fault.when == "before" and fault.kind != "slow":
        await fail(fault, is_kept=False)
    if key and (known := services.keys.take(unit, key, request.path, form)):
        headers = {"Idempotent-Replayed": "true", "Original-Request": known["request"]}
        return Answer(known["status"], known["body"], headers)
    try:
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        given = act(Call(unit, ids=ids, path=request.path), route, form, services, fault)
    finally:
        services.keys.release(key)
    if fault and fault.when == "after":
        await fail(fault, is_kept=True)
    return given


def act(call: Call, route: Route, form: Form, services: Services, fault: Fault | None) -> Answer:
    """Do it, all or nothing, and note the answer with its idempotency key.

    Nothing is awaited here: calls never see each other half done.
    """
    unit, key = call.unit, call.unit.request["idempotency_key"]
    try:
        call.params = route.parameters.read(form)
        result = route.answer(call)
        paths = call.params.get("expand", [])
        given = Answer(200, expanded(unit, result, paths))
    except StripeError as error:
        if not error.keeps_changes:
            unit.forget()
        if not error.is_kept:
            raise
        given = Answer(error.status, error.body())
    noted = given
    if fault and fault.when == "after" and fault.kind == "error":
        # As with the real one: a key repeats its 500 too, whatever the call had done.
        noted = Answer(fault.status, ApiError(fault.status, is_kept=True).body())
    if key:
        idempotency.remember(unit, key, call.path, form, status=noted.status, body=noted.body)
    services.commit(unit)
    return given


async def fail(fault: Fault, *, is_kept: bool) -> None:
    """Raises what was ordered."""
    if fault.kind == "error":
        raise ApiError(fault.status, is_kept=is_kept)
    if fault.kind == "rate_limit":
        raise RateLimitError
    await cut(fault)


def check_key(request: web.Request, settings: Settings) -> None:
    """Raises AuthenticationError unless the caller has our secret key."""
    given = request.headers.get("Authorization", "")
    scheme, _, key = given.partition(" ")
    if scheme.lower() == "basic":
        try:
            key = BasicAuth.decode(given).login
        except ValueError:
            key = ""
    if not key:
        raise AuthenticationError(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
            "YOUR_SECRET_KEY')."
        )
    if not secrets.compare_digest(key.encode(), settings.secret_key.encode()):
        raise AuthenticationError(f"Invalid API Key provided: {key[:7]}{'*' * 8}{key[-4:]}")


def check_version(request: web.Request) -> None:
    """Raises NotServedError for another API version than the pinned one."""
    if request.headers.get("Stripe-Version", API_VERSION) != API_VERSION:
        raise NotServedError(f"API versions other than {API_VERSION}")
