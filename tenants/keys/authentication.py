"""DRF's hook: who is calling."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from agentflare.errors import InvalidApiKeyError, MissingApiKeyError
from tenants.keys.lookup import KeyRecord, resolve_key


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer oi_…`, the scheme in any case. `request.auth` is the KeyRecord."""

    def authenticate(self, request: Request) -> tuple[None, KeyRecord]:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            raise MissingApiKeyError
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise InvalidApiKeyError(
                "The Authorization header must read: Authorization: Bearer YOUR_KEY."
            )
        return None, resolve_key(key.strip())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
