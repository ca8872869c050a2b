"""The one way to Stripe: pinned version, timeouts, retries, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import stripe
from django.conf import settings

# What we read and write is written against this version of the API, whatever the package's own
# is, and whatever the account's default is. A test holds the two together.
API_VERSION = "2026-10-28.endive"

# Each try's time to connect and to answer. With RETRIES of them a call ends within what a
# Celery task may take.
CONNECT_TIMEOUT_S = 4
READ_TIMEOUT_S = 10
RETRIES = 2
# For a page that can do without the answer, and somebody who waits for it.
HURRIED_TIMEOUT_S = 4

_is_hurried: ContextVar[bool] = ContextVar("is_hurried", default=False)


class PaymentsNotSetUpError(Exception):
    """There is no key of Stripe's: nothing can be bought."""


# Stripe has said no: nothing was done, and asking again would change nothing.
REFUSED = (stripe.CardError, stripe.InvalidRequestError)
# Not known whether anything was done: to be asked again under the same idempotency key. Wrong
# keys and permissions are here too: whoever runs us sets them right.
UNCERTAIN = (
    stripe.APIConnectionError,
    stripe.APIError,
    stripe.RateLimitError,
    stripe.IdempotencyError,
    stripe.AuthenticationError,
    stripe.PermissionError,
)


def is_set_up() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def client() -> Any:
    """Stripe's `v1` services. Raises PaymentsNotSetUpError."""
    if not is_set_up():
        raise PaymentsNotSetUpError("STRIPE_SECRET_KEY is not set")
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, _is_hurried.get()).v1


@contextmanager
def hurried() -> Iterator[None]:
    """In here Stripe is asked once, and not waited for long."""
    token = _is_hurried.set(True)
    try:
        yield
    finally:
        _is_hurried.reset(token)


@cache
def _client(key: str, api_base: str, is_hurried: bool) -> stripe.StripeClient:
    timeout = (
        (HURRIED_TIMEOUT_S, HURRIED_TIMEOUT_S)
        if is_hurried
        else (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    )
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": api_base} if api_base else {},
        max_network_retries=0 if is_hurried else RETRIES,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def once(*what: object) -> dict[str, Any]:
    """Options of a write that takes effect once, however often it is sent.

    what: the row it is for, and what it does: ("top_up", id, "session").
    """
    return {"idempotency_key": ":".join(["agentflare", *map(str, what)])}


def words_of(error: stripe.StripeError) -> str:
    """What the reader may be told of a refusal."""
    return str(error.user_message or error)[:300]
