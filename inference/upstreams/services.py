"""Adding and changing upstreams. The command line and the admin call these."""

from urllib.parse import urlsplit

from django.db import transaction

from inference.upstreams.models import Upstream
from inference.upstreams.secrets import encrypt
from inference.upstreams.selectors import ENVIRONMENT


class UpstreamError(ValueError):
    """What the operator asked for cannot be done; the text says why."""


@transaction.atomic
def add_upstream(
    *,
    name: str,
    provider: str,
    api_token: str,
    base_url: str = "",
    account_id: str = "",
    gateway_id: str = "",
    weight: int = 1,
) -> Upstream:
    """A new account of the pool, or a new OpenAI-compatible server. Raises UpstreamError."""
    if name == ENVIRONMENT:
        raise UpstreamError(f"{ENVIRONMENT!r} is the account that the environment names.")
    if Upstream.objects.filter(name=name).exists():
        raise UpstreamError(f"There is an upstream {name!r} already.")
    if provider == Upstream.Provider.WORKERS_AI and not account_id:
        raise UpstreamError("A Cloudflare account needs its account id.")
    if provider == Upstream.Provider.OPENAI_COMPATIBLE and not base_url:
        raise UpstreamError("An OpenAI-compatible server needs its address, up to /v1.")
    if base_url and urlsplit(base_url).scheme not in {"http", "https"}:
        raise UpstreamError(f"{base_url!r} is no http or https address.")
    return Upstream.objects.create(
        name=name,
        provider=provider,
        base_url=base_url.rstrip("/"),
        account_id=account_id,
        gateway_id=gateway_id,
        weight=weight,
        secret=encrypt(api_token),
    )


def set_api_token(*, name: str, api_token: str) -> None:
    """Raises Upstream.DoesNotExist."""
    upstream = Upstream.objects.get(name=name)
    upstream.secret = encrypt(api_token)
    upstream.save(update_fields=["secret"])


def set_state(*, name: str, state: Upstream.State) -> None:
    """Switch an upstream on or off: within seconds no new call goes there. Running ones end.

    Raises Upstream.DoesNotExist.
    """
    upstream = Upstream.objects.get(name=name)
    upstream.state = state
    upstream.save(update_fields=["state"])
