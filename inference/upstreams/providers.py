"""The seam between calls and those who answer them. A new kind of provider is a class and a
line here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from inference.upstreams.accounts import OPENAI_COMPATIBLE, WORKERS_AI, Account, CallContext
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import UpstreamRequest

_PROVIDERS = {
    WORKERS_AI: "inference.workers_ai.provider",
    OPENAI_COMPATIBLE: "inference.openai_compatible.provider",
}


class Provider(Protocol):
    """How one kind of upstream is spoken to."""

    # The header of an answer that names the call, for the provider's support.
    request_id_header: str

    def url(self, account: Account, model: str, request: UpstreamRequest) -> str: ...

    def body(
        self, model: str, request: UpstreamRequest, *, reject_if_busy: bool
    ) -> tuple[bytes, str]:
        """The body and its content type."""
        ...

    def headers(
        self, account: Account, context: CallContext, *, url: str, body: bytes
    ) -> dict[str, str]:
        """url, body: what is called with what, for those who keep answers."""
        ...

    def failure_of(self, status: int, body: bytes) -> UpstreamCallError | None:
        """The failure that an answer stands for; None for a success."""
        ...

    def unwrap(self, document: Mapping[str, Any]) -> Any:
        """What the model said, out of the provider's envelope."""
        ...


@cache
def provider_of(name: str) -> Provider:
    provider: Provider = import_module(_PROVIDERS[name]).PROVIDER
    return provider
