"""Who may open a WebSocket: an API key in a header, or a client token in a header or, as browsers
must, among the subprotocols."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest

from agentflare.client_ip import client_ip
from agentflare.errors import (
    InsufficientScopeError,
    InvalidApiKeyError,
    IpNotAllowedError,
    MissingApiKeyError,
)
from agents.client_tokens.authentication import record_of
from agents.client_tokens.tokens import PREFIX, ClientToken
from tenants.keys.authentication import is_within
from tenants.keys.format import KeyParts, parse_key
from tenants.keys.lookup import KeyRecord, find_by_parts, find_key, note_use

# In the browser: new WebSocket(url, ["agentflare.v1", "agentflare.token." + token]).
SUBPROTOCOL, TOKEN_SUBPROTOCOL = "agentflare.v1", "agentflare.token."


class Visitor:
    """Whoever is let in. `record` is looked up anew: keys are revoked, tenants suspended."""

    def __init__(self, parts: KeyParts, token: ClientToken | None) -> None:
        self.parts = parts
        self.token = token

    def record(self) -> KeyRecord:
        """Raises InvalidApiKeyError or TenantSuspendedError."""
        record = find_by_parts(self.parts)
        if record is None:
            raise InvalidApiKeyError("This API key is not there any more.")
        record.require_usable()
        if self.token is not None:
            self.token.require_time()
        return record


def let_in(environ: dict[str, Any], subprotocols: list[str], *, scope: str) -> Visitor:
    """Raises GatewayError."""
    given = _given(environ, subprotocols)
    token = ClientToken.loads(given) if given.startswith(PREFIX) else None
    record = record_of(token) if token else find_key(given)
    visitor = Visitor(_parts(given, token), token)
    visitor.record()
    ip = client_ip(WSGIRequest(environ))
    if token is None and record.ip_ranges and not is_within(ip, record.ip_ranges):
        raise IpNotAllowedError(ip)
    if scope not in record.scopes:
        raise InsufficientScopeError(scope)
    note_use(record, ip=ip or "")
    return visitor


def _given(environ: dict[str, Any], subprotocols: list[str]) -> str:
    scheme, _, given = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    for offered in subprotocols:
        if offered.startswith(TOKEN_SUBPROTOCOL):
            # The name of a subprotocol may have no "=".
            token = offered.removeprefix(TOKEN_SUBPROTOCOL)
            return token + "=" * (-len(token.removeprefix(PREFIX)) % 4)
    raise MissingApiKeyError


def _parts(given: str, token: ClientToken | None) -> KeyParts:
    parts = token.key if token else parse_key(given)
    assert parts is not None
    return parts
