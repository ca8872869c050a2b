"""The catalogue as requests see it: a snapshot in memory, with the prices of the moment.

A snapshot is replaced in the background when it is older than REFRESH_S, so no request waits
for PostgreSQL; while PostgreSQL is down the last one stands.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.errors import ModelNotFoundError
from billing.prices.services import Price, prices_at
from inference.catalog.models import AIModel

logger = logging.getLogger(__name__)
REFRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Offer:
    """An AI model that can be called, with its price now."""

    name: str
    upstream_model: str
    kind: str
    vendor: str
    created: int
    context_window: int | None
    max_output_tokens: int | None
    capabilities: frozenset[str]
    json_mode: str
    answer_form: str
    vocabulary: str
    price: Price

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def is_native(self) -> bool:
        """Whether it takes Workers AI's own parameters, not OpenAI's."""
        return self.answer_form != "openai_chat_completion"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All offers, by friendly id and by Cloudflare's id; and why others are not served."""

    offers: Mapping[str, Offer]
    by_upstream: Mapping[str, str]
    unserved: Mapping[str, str]
    loaded_at: float

    def find(self, name: str) -> Offer:
        """Raises ModelNotFoundError, which says why a known model is not served."""
        name = self.by_upstream.get(name, name)
        offer = self.offers.get(name)
        if offer is None:
            raise ModelNotFoundError(name[:200], why=self.unserved.get(name))
        return offer


_current: Catalogue | None = None
_refreshing = threading.Lock()


def catalogue() -> Catalogue:
    """The snapshot of this process; the first call reads it from PostgreSQL."""
    global _current
    if _current is None:
        _current = read_catalogue()
    elif time.monotonic() - _current.loaded_at > REFRESH_S and _refreshing.acquire(blocking=False):
        threading.Thread(target=_refresh, name="catalogue", daemon=True).start()
    return _current


def forget() -> None:
    """Read anew at the next call."""
    global _current
    _current = None


def _refresh() -> None:
    global _current
    try:
        _current = read_catalogue()
    except Exception:
        logger.exception("The catalogue could not be refreshed; the old one stands")
        time.sleep(REFRESH_S)
    finally:
        connection.close()
        _refreshing.release()


def read_catalogue() -> Catalogue:
    with schema_context("public"):
        prices = prices_at(timezone.now())
        rows = list(AIModel.objects.all())
    offers = {
        row.name: as_offer(row, prices[row.name])
        for row in rows
        if row.state == AIModel.State.OFFERED and row.name in prices
    }
    unserved = {
        row.name: "has been retired"
        if row.state == AIModel.State.RETIRED
        else "has no price yet and is not served"
        for row in rows
        if row.name not in offers
    }
    return Catalogue(
        offers=offers,
        by_upstream={row.upstream_model: row.name for row in rows},
        unserved=unserved,
        loaded_at=time.monotonic(),
    )


def as_offer(row: AIModel, price: Price) -> Offer:
    released = row.released_on
    return Offer(
        name=row.name,
        upstream_model=row.upstream_model,
        kind=row.kind,
        vendor=row.vendor,
        created=int(time.mktime(released.timetuple())) if released else 0,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        capabilities=frozenset(row.capabilities),
        json_mode=row.json_mode,
        answer_form=row.answer_form,
        vocabulary=row.vocabulary,
        price=price,
    )
