"""DRF's hook: who is calling."""

import ipaddress
from collections.abc import Iterator

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from agentflare import logs
from agentflare.client_ip import client_ip
from agentflare.errors import (
    InsufficientScopeError,
    InvalidApiKeyError,
    IpNotAllowedError,
    MissingApiKeyError,
)
from tenants.keys.lookup import KeyRecord, find_key, note_use


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer oi_…`, the scheme in any case, or `x-api-key: oi_…` as clients of
    Anthropic's API send it. `request.auth` is the KeyRecord."""

    def authenticate(self, request: Request) -> tuple[None, KeyRecord]:
        keys = set(_keys(request._request))
        if not keys:
            raise MissingApiKeyError
        if len(keys) > 1:
            # Nobody guesses whose money is meant.
            raise InvalidApiKeyError(
                "The headers Authorization and x-api-key hold different keys. Send one of them."
            )
        record = find_key(keys.pop())
        let_in(request, record)
        return None, record

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def let_in(request: Request, record: KeyRecord, *, from_anywhere: bool = False) -> None:
    """What a key may not do, and when it was used.

    from_anywhere: whoever calls acts for its holder, from other places. Raises InvalidApiKeyError,
    TenantSuspendedError, IpNotAllowedError or InsufficientScopeError.
    """
    # Whose refusal it is, where what follows is one.
    request._request.api_key = record  # type: ignore[attr-defined]
    logs.bind(tenant=record.tenant_code, key=record.key_id)
    record.require_usable()
    ip = client_ip(request._request)
    if record.ip_ranges and not from_anywhere and not is_within(ip, record.ip_ranges):
        raise IpNotAllowedError(ip)
    scope = getattr(request.parser_context["view"], "scope", None)
    if scope is not None and scope not in record.scopes:
        raise InsufficientScopeError(scope)
    note_use(record, ip=ip or "")


def is_within(ip: str | None, ranges: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the CIDRs. An unknown one lies in none."""
    if ip is None:
        return False
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(cidr) for cidr in ranges)


def _keys(request: HttpRequest) -> Iterator[str]:
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
