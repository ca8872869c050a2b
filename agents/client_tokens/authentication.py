"""DRF's hook for what a client token may do, too."""

from rest_framework.request import Request

from agentflare.errors import InvalidApiKeyError
from agents.client_tokens.tokens import PREFIX, ClientToken
from tenants.keys.authentication import ApiKeyAuthentication, let_in
from tenants.keys.lookup import KeyRecord, find_by_parts


class ClientAuthentication(ApiKeyAuthentication):
    """An API key, or a client token in its place. `request.auth` is the record of the key that
    minted it."""

    def authenticate(self, request: Request) -> tuple[None, KeyRecord]:
        token = token_of(request)
        if token is None:
            return super().authenticate(request)
        record = record_of(token)
        request._request.client_token = token  # type: ignore[attr-defined]
        # Its key may be bound to the addresses of the program that has it.
        let_in(request, record, from_anywhere=True)
        return None, record


def token_of(request: Request) -> ClientToken | None:
    """Raises InvalidApiKeyError."""
    scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    given = given.strip()
    if scheme.lower() != "bearer" or not given.startswith(PREFIX):
        return None
    return ClientToken.loads(given)


def record_of(token: ClientToken) -> KeyRecord:
    """Raises InvalidApiKeyError where its key is none any more."""
    record = find_by_parts(token.key)
    if record is None:
        raise InvalidApiKeyError("The API key of this client token is not there any more.")
    return record


def client_of(request: Request) -> ClientToken | None:
    """The token of whoever calls with one; after the authentication."""
    return getattr(request._request, "client_token", None)
