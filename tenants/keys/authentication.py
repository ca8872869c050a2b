"""DRF's hook: who is calling."""

from collections.abc import Iterator

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from agentflare.errors import InvalidApiKeyError, MissingApiKeyError
from tenants.keys.lookup import KeyRecord, resolve_key


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer oi_…`, the scheme in any case, or `x-api-key: oi_…` as clients of
    Anthropic's API send it. `request.auth` is the KeyRecord."""

    def authenticate(self, request: Request) -> tuple[None, KeyRecord]:
        keys = set(_keys(request))
        if not keys:
            raise MissingApiKeyError
        if len(keys) > 1:
            # Nobody guesses whose money is meant.
            raise InvalidApiKeyError(
                "The headers Authorization and x-api-key hold different keys. Send one of them."
            )
        return None, resolve_key(keys.pop())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _keys(request: Request) -> Iterator[str]:
    """Raises InvalidApiKeyError for an Authorization header of another scheme."""
    if header := request.META.get("HTTP_AUTHORIZATION", ""):
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise InvalidApiKeyError(
                "The Authorization header must read: Authorization: Bearer YOUR_KEY."
            )
        yield key.strip()
    if key := request.META.get("HTTP_X_API_KEY", "").strip():
        yield key
