"""The accounts that calls may use, read with the catalogue's snapshot."""

import logging
from collections.abc import Mapping

from django.conf import settings

from inference.upstreams.accounts import OPENAI_COMPATIBLE, WORKERS_AI, Account
from inference.upstreams.models import Upstream
from inference.upstreams.secrets import UnreadableSecretError, decrypt
from inference.workers_ai.provider import CLOUDFLARE_API, base_url

logger = logging.getLogger(__name__)
# The account that the environment names.
ENVIRONMENT = "environment"


def environment_account() -> Account | None:
    """None when the environment names none: then the pool is what the operator has added."""
    if not settings.CLOUDFLARE_ACCOUNT_ID:
        return None
    return Account(
        name=ENVIRONMENT,
        provider=WORKERS_AI,
        base_url=base_url(settings.CLOUDFLARE_BASE_URL),
        account_id=settings.CLOUDFLARE_ACCOUNT_ID,
        api_token=settings.CLOUDFLARE_API_TOKEN,
        gateway_id=settings.CLOUDFLARE_GATEWAY_ID,
    )


def read_accounts() -> Mapping[str, Account]:
    """All active upstreams by name, from the shared schema and the environment."""
    accounts = {}
    if found := environment_account():
        accounts[found.name] = found
    for row in Upstream.objects.filter(state=Upstream.State.ACTIVE):
        try:
            accounts[row.name] = as_account(row)
        except UnreadableSecretError as exc:
            logger.error("The upstream %s is left out: %s", row.name, exc.message)
    return accounts


def is_last_account(name: str) -> bool:
    """Whether calls can use this Cloudflare account, and no other."""
    usable = [each.name for each in read_accounts().values() if each.provider == WORKERS_AI]
    return usable == [name]


def account_named(name: str) -> Account:
    """One upstream, switched off or not. Raises Upstream.DoesNotExist, UnreadableSecretError."""
    found = environment_account()
    if found and name == found.name:
        return found
    return as_account(Upstream.objects.get(name=name))


def as_account(row: Upstream) -> Account:
    """Raises UnreadableSecretError."""
    address = row.base_url.rstrip("/")
    if row.provider == Upstream.Provider.WORKERS_AI:
        address = base_url(address or settings.CLOUDFLARE_BASE_URL or CLOUDFLARE_API)
    return Account(
        name=row.name,
        provider=OPENAI_COMPATIBLE
        if row.provider == Upstream.Provider.OPENAI_COMPATIBLE
        else WORKERS_AI,
        base_url=address,
        account_id=row.account_id,
        api_token=decrypt(row.secret),
        gateway_id=row.gateway_id,
        weight=row.weight,
    )
