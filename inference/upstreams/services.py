"""Adding and changing upstreams. The command line and the admin call these."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError

from inference.upstreams.hooks import tell_changed
from inference.upstreams.models import Upstream
from inference.upstreams.secrets import encrypt
from inference.upstreams.selectors import ENVIRONMENT

# They stand in addresses and headers.
_PART_OF_A_CALL = re.compile(r"[A-Za-z0-9_-]*")


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
    if Upstream.objects.filter(name=name).exists():
        raise UpstreamError(f"There is an upstream {name!r} already.")
    upstream = Upstream(
        name=name,
        provider=provider,
        base_url=base_url.rstrip("/"),
        account_id=account_id,
        gateway_id=gateway_id,
        weight=weight,
        secret=encrypt(api_token),
    )
    check(upstream)
    upstream.save(force_insert=True)
    transaction.on_commit(tell_changed)
    return upstream


@transaction.atomic
def change_upstream(*, name: str, **changes: str | int) -> Upstream:
    """Another base_url, account_id, gateway_id or weight; what is not named stays.

    Raises UpstreamError, Upstream.DoesNotExist.
    """
    upstream = Upstream.objects.select_for_update().get(name=name)
    for field, value in changes.items():
        setattr(upstream, field, value.rstrip("/") if isinstance(value, str) else value)
    check(upstream)
    upstream.save(update_fields=list(changes))
    transaction.on_commit(tell_changed)
    return upstream


def remove_upstream(*, name: str) -> None:
    """Usage records go on naming it. Raises UpstreamError while it has AI models,
    Upstream.DoesNotExist."""
    upstream = Upstream.objects.get(name=name)
    try:
        upstream.delete()
        transaction.on_commit(tell_changed)
    except ProtectedError:
        models = ", ".join(sorted(str(row) for row in upstream.ai_models.all()))
        raise UpstreamError(f"{name} has AI models: {models}. Remove them first.") from None


def check(upstream: Upstream) -> None:
    """What an upstream needs to be called. Raises UpstreamError."""
    if upstream.name == ENVIRONMENT:
        raise UpstreamError(f"{ENVIRONMENT!r} is the account that the environment names.")
    if upstream.provider == Upstream.Provider.WORKERS_AI and not upstream.account_id:
        raise UpstreamError("A Cloudflare account needs its account id.")
    if upstream.provider == Upstream.Provider.OPENAI_COMPATIBLE and not upstream.base_url:
        raise UpstreamError("An OpenAI-compatible server needs its address, up to /v1.")
    address = urlsplit(upstream.base_url)
    if upstream.base_url and (address.scheme not in {"http", "https"} or not address.hostname):
        raise UpstreamError(f"{upstream.base_url!r} is no http or https address.")
    for field in ("account_id", "gateway_id"):
        if not _PART_OF_A_CALL.fullmatch(getattr(upstream, field)):
            raise UpstreamError(f"{field}: letters, digits, - and _ alone.")
    if upstream.weight < 1:
        raise UpstreamError("A weight is at least 1.")
    try:
        upstream.clean_fields(exclude=["secret"])
    except ValidationError as exc:
        field, (complaint, *_) = next(iter(exc.message_dict.items()))
        raise UpstreamError(f"{field}: {complaint}") from None


def set_api_token(*, name: str, api_token: str) -> None:
    """Raises Upstream.DoesNotExist."""
    upstream = Upstream.objects.get(name=name)
    upstream.secret = encrypt(api_token)
    upstream.save(update_fields=["secret"])
    transaction.on_commit(tell_changed)


def set_state(*, name: str, state: Upstream.State) -> None:
    """Switch an upstream on or off: within a second or so no new call goes there. Those that run
    go on to their end.

    Raises Upstream.DoesNotExist.
    """
    upstream = Upstream.objects.get(name=name)
    upstream.state = state
    upstream.save(update_fields=["state"])
    transaction.on_commit(tell_changed)
