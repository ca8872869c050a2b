"""Every refusal of the stand-in, in Stripe's envelope."""

from typing import Any

DOCS = "https://stripe.com/docs/error-codes"


class StripeError(Exception):
    """A refusal that knows its status and its body.

    is_kept: whether it is the outcome of a call that ran, which an idempotency key then
        repeats; what the call did before it stays done only for card errors.
    """

    status = 400
    type = "invalid_request_error"
    is_kept = True
    keeps_changes = False

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def body(self) -> dict[str, Any]:
        fields = dict(self.fields)
        if code := fields.get("code"):
            fields.setdefault("doc_url", f"{DOCS}/{str(code).replace('_', '-')}")
        return {"error": {"message": str(self), "type": self.type, **fields}}


class InvalidRequestError(StripeError):
    """The call ran and could not be done: refund of too much, wrong state."""


class ParameterError(StripeError):
    """The parameters are wrong: nothing ran, so the idempotency key is free again."""

    is_kept = False


class NotServedError(ParameterError):
    """A part of the real service that the stand-in does not have."""

    def __init__(self, what: str, **fields: Any) -> None:
        super().__init__(f"The sandbox's stand-in for Stripe does not serve {what}.", **fields)


class NoSuchObjectError(StripeError):
    status = 404

    def __init__(self, kind: str, object_id: str, param: str = "id", *, status: int = 404) -> None:
        name = kind.rpartition(".")[2] if kind != "checkout.session" else "checkout.session"
        super().__init__(f"No such {name}: '{object_id}'", code="resource_missing", param=param)
        # In the path 404; a parameter that names what is not there, 400.
        self.status = status


class NoRouteError(StripeError):
    status = 404
    is_kept = False

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"Unrecognized request URL ({method}: {path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/."
        )


class AuthenticationError(StripeError):
    status = 401
    is_kept = False


class CardError(StripeError):
    status = 402
    type = "card_error"


class PaymentFailedError(CardError):
    """A payment that was tried and failed: the attempt stays on record."""

    keeps_changes = True


class IdempotencyError(StripeError):
    type = "idempotency_error"
    is_kept = False


class KeyInUseError(IdempotencyError):
    status = 409

    def __init__(self, key: str) -> None:
        super().__init__(
            "There is currently another in-progress request using this Idempotent Key "
            f"(that probably means you submitted twice): {key}",
            code="idempotency_key_in_use",
        )


class RateLimitError(StripeError):
    status = 429
    is_kept = False

    def __init__(self) -> None:
        super().__init__(
            "Request rate limit exceeded. Learn more about rate limits here "
            "https://stripe.com/docs/rate-limits.",
            code="rate_limit",
        )


class ApiError(StripeError):
    type = "api_error"
    keeps_changes = True

    def __init__(self, status: int = 500, *, is_kept: bool) -> None:
        super().__init__("An unknown error occurred")
        self.status = status
        self.is_kept = is_kept
