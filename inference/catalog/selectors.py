"""The catalogue as requests see it: a snapshot in memory, with the prices of the moment.

A snapshot is replaced in the background when it is older than CATALOGUE_REFRESH_S, so that busy
processes never wait for PostgreSQL; one that was idle for longer reads it first. While PostgreSQL
is down the last one stands.
"""

import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from django.conf import settings
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.connections import given_back, patiently
from agentflare.errors import ModelNotFoundError
from billing.business.figures import first_day
from billing.business.models import TenantDay
from billing.prices.markups import PriceTable, price_table, tables_to_come
from billing.prices.services import Price, as_price, prices_of
from inference.catalog.models import AIModel, Route, RouteCandidate
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.selectors import read_accounts

logger = logging.getLogger(__name__)
# Times its age: a process that was idle must not begin with yesterday's prices.
_TOO_OLD = 3
WEBSOCKET_ONLY = "websocket_only"
# Who called a model in so many days goes on using it while it drains.
USED_DAYS = 30


@dataclass(frozen=True, slots=True)
class Offer:
    """An AI model that can be called, with its price now."""

    name: str
    upstream_model: str
    kind: str
    vendor: str
    created: int
    upstream: str
    context_window: int | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    dimensions: int | None
    capabilities: frozenset[str]
    json_mode: str
    request_form: str
    answer_form: str
    vocabulary: str
    price: Price
    # The next one that is decided, where it differs, and when it starts.
    next_price: tuple[datetime, Price] | None = None
    is_hidden: bool = False
    # While it drains, whom it is still served to; None: to everybody.
    open_to: frozenset[str] | None = None
    # Since when its end is decided, in seconds since 1970, and the first day without it.
    deprecated_at: int | None = None
    ends_on: date | None = None
    successor: str = ""

    def is_open_to(self, tenant_code: str) -> bool:
        return self.open_to is None or tenant_code in self.open_to

    def is_listed_for(self, tenant_code: str) -> bool:
        """Whether its lists show it. "": of somebody who is no tenant."""
        return not self.is_hidden and self.is_open_to(tenant_code)

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def is_native(self) -> bool:
        """Whether it takes Workers AI's own parameters, not OpenAI's."""
        return self.answer_form != "openai_chat_completion"


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What a name leads to: offers that share its calls by weight, then fallbacks."""

    name: str
    weighted: Sequence[tuple[Offer, int]]
    fallbacks: Sequence[Offer] = ()
    created: int = 0
    # Made by the operator; else it is the only AI model of its name.
    is_route: bool = False

    def order(self) -> list[Offer]:
        """One offer by weight, then the other weighted ones, then the fallbacks."""
        left = list(self.weighted)
        ordered = []
        while len(left) > 1:
            weights = [weight for _, weight in left]
            (chosen,) = random.choices(range(len(left)), weights)  # noqa: S311  # no secret
            ordered.append(left.pop(chosen)[0])
        ordered += [offer for offer, _ in left]
        return ordered + list(self.fallbacks)

    def among(self, offers: Mapping[str, Offer]) -> "RoutePlan":
        """The same with these offers in place of those of their names."""
        weighted = [(offers[offer.name], weight) for offer, weight in self.weighted]
        fallbacks = [offers[offer.name] for offer in self.fallbacks]
        return replace(self, weighted=weighted, fallbacks=fallbacks)

    @property
    def own_name(self) -> str:
        """The route's name, or the friendly id of the AI model, whichever way it was asked for."""
        return self.name if self.is_route else self.offers[0].name

    @property
    def offers(self) -> list[Offer]:
        return [offer for offer, _ in self.weighted] + list(self.fallbacks)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All offers, by friendly id and by Cloudflare's id; routes; why others are not served;
    and the accounts to call them through."""

    offers: Mapping[str, Offer]
    by_upstream: Mapping[str, str]
    unserved: Mapping[str, str]
    routes: Mapping[str, RoutePlan]
    accounts: Mapping[str, Account]
    loaded_at: float
    # Prices now, then at each moment at which some change.
    tables: Sequence[PriceTable] = ()
    # Tenants with prices of their own → the catalogue as they see it, once it was asked for.
    own: dict[str, "Catalogue | None"] = field(default_factory=dict)

    def of(self, tenant_code: str) -> "Catalogue":
        """With the prices that this tenant pays."""
        if tenant_code not in self.own:
            return self
        view = self.own[tenant_code]
        if view is None:
            offers = priced(self.offers, self.tables, tenant_code)
            routes = {name: plan.among(offers) for name, plan in self.routes.items()}
            view = self.own[tenant_code] = replace(self, offers=offers, routes=routes, own={})
        return view

    def route(self, name: str) -> RoutePlan:
        """Raises ModelNotFoundError, which says why a known model is not served."""
        plan = self.routes.get(name)
        return plan or RoutePlan(name, [(self.find(name), 1)])

    def accounts_for(self, offer: Offer) -> list[Account]:
        """Whom to ask: its own server, or the pool, one by weight first."""
        if offer.upstream:
            return [self.accounts[offer.upstream]]
        pool = [account for account in self.accounts.values() if account.provider == WORKERS_AI]
        if len(pool) < 2:
            return pool
        return sorted(pool, key=_by_weight, reverse=True)

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
        return _current
    age_s = time.monotonic() - _current.loaded_at
    if age_s <= settings.CATALOGUE_REFRESH_S or not _refreshing.acquire(blocking=False):
        return _current
    if age_s > _TOO_OLD * settings.CATALOGUE_REFRESH_S:
        _refresh()
    else:
        threading.Thread(target=_refresh, name="catalogue", daemon=True).start()
    assert _current is not None
    return _current


def forget() -> None:
    """Read anew at the next call."""
    global _current
    _current = None


def refresh() -> bool:
    """Now. Whether it was: somebody may be at it, who has begun before."""
    if not _refreshing.acquire(blocking=False):
        return False
    _refresh()
    return True


def _refresh() -> None:
    global _current
    try:
        # Here and now within somebody's request, whose transaction may be open; else in a thread.
        with given_back():
            _current = patiently(read_catalogue)
    except Exception:
        logger.exception("The catalogue could not be refreshed; the old one stands")
        if _current is not None:
            _current = replace(_current, loaded_at=time.monotonic())
    finally:
        _refreshing.release()


def _by_weight(account: Account) -> float:
    """A random sort key: the account with twice the weight comes first twice as often."""
    return float(random.random() ** (1 / account.weight))  # noqa: S311  # no secret


def read_catalogue() -> Catalogue:
    with schema_context("public"):
        now = timezone.now()
        tables = [price_table(now), *tables_to_come(now)]
        prices = prices_of(tables[0])
        rows = list(AIModel.objects.all())
        users = users_of_draining(rows)
        accounts = read_accounts()
        routes = list(Route.objects.filter(is_active=True).prefetch_related("candidates"))
    unserved = {row.name: why for row in rows if (why := why_unserved(row, prices, accounts))}
    offers = {
        row.name: as_offer(row, prices[row.name], open_to=users.get(row.name))
        for row in rows
        if row.name not in unserved
    }
    if len(tables) > 1:
        offers = priced(offers, tables)
    plans = [as_plan(route, list(route.candidates.all()), offers) for route in routes]
    return Catalogue(
        offers=offers,
        by_upstream={row.upstream_model: row.name for row in rows if not row.upstream_id},
        unserved=unserved,
        routes={plan.name: plan for plan in plans if plan},
        accounts=accounts,
        loaded_at=time.monotonic(),
        tables=tables,
        own=dict.fromkeys(code for table in tables for code in table.tenant_codes),
    )


def priced(
    offers: Mapping[str, Offer], tables: Sequence[PriceTable], tenant_code: str = ""
) -> dict[str, Offer]:
    """With a tenant's prices, or everybody's: now, and the next that differs."""
    return {name: _priced(offer, tables, tenant_code) for name, offer in offers.items()}


def _priced(offer: Offer, tables: Sequence[PriceTable], tenant_code: str) -> Offer:
    versions = [table.version(offer.name, tenant_code) for table in tables]
    now = versions[0]
    assert now is not None, "without a price it is not offered"
    price = as_price(now)
    for table, version in zip(tables[1:], versions[1:], strict=True):
        if version is not None and version.pk != now.pk:
            then = as_price(version)
            if then.rates != price.rates:
                return replace(offer, price=price, next_price=(table.moment, then))
    return replace(offer, price=price, next_price=None)


def why_unserved(
    row: AIModel, prices: Mapping[str, Price], accounts: Mapping[str, Account]
) -> str | None:
    """The reason that a client reads; None: it is served."""
    instead = f". Use `{row.successor_id}` instead" if row.successor_id else ""
    if row.state == AIModel.State.RETIRED:
        return f"has been retired{instead}"
    if row.status == AIModel.Status.OFF:
        return f"has been switched off{instead}"
    if row.ends_on and row.ends_on <= timezone.now().astimezone(UTC).date():
        return f"was served until {row.ends_on}{instead}"
    if row.request_form == WEBSOCKET_ONLY:
        return "speaks WebSocket only and cannot be called over HTTP"
    if row.name not in prices:
        return "has no price yet and is not served"
    if row.upstream_id and row.upstream_id not in accounts:
        return "is not available at present"
    return None


def as_plan(
    route: Route, candidates: Sequence[RouteCandidate], offers: Mapping[str, Offer]
) -> RoutePlan | None:
    """Without candidates that are not served. None: the route leads nowhere."""
    served = [row for row in candidates if row.ai_model_id in offers]
    weighted = [(offers[row.ai_model_id], row.weight) for row in served if row.weight]
    fallbacks = [offers[row.ai_model_id] for row in served if not row.weight]
    if not weighted and not fallbacks:
        return None
    created = int(route.created_at.timestamp())
    return RoutePlan(route.name, weighted, fallbacks, created=created, is_route=True)


def users_of_draining(rows: Sequence[AIModel]) -> dict[str, frozenset[str]]:
    """Model that drains → the tenants that called it in the last 30 days."""
    users = {row.name: set[str]() for row in rows if row.status == AIModel.Status.DRAINING}
    if users:
        for name, tenant_code in used_since(first_day(USED_DAYS), ai_models=list(users)):
            users[name].add(tenant_code)
    return {name: frozenset(codes) for name, codes in users.items()}


def used_since(since: date, *, ai_models: Sequence[str]) -> list[tuple[str, str]]:
    """Model and tenant's code, each pair once, from the shared sums."""
    days = TenantDay.objects.filter(day__gte=since, ai_model__in=ai_models, calls__gt=0)
    return list(days.values_list("ai_model", "tenant_code").distinct())


def as_offer(row: AIModel, price: Price, *, open_to: frozenset[str] | None = None) -> Offer:
    released = row.released_on
    is_ending = row.status == AIModel.Status.DRAINING or row.ends_on is not None
    since = row.status_since
    return Offer(
        name=row.name,
        upstream_model=row.upstream_model,
        kind=row.kind,
        vendor=row.vendor,
        created=int(time.mktime(released.timetuple())) if released else 0,
        upstream=row.upstream_id or "",
        context_window=row.context_window,
        max_input_tokens=row.max_input_tokens,
        max_output_tokens=row.max_output_tokens,
        dimensions=row.dimensions,
        capabilities=frozenset(row.capabilities),
        json_mode=row.json_mode,
        request_form=row.request_form,
        answer_form=row.answer_form,
        vocabulary=row.vocabulary,
        price=price,
        is_hidden=row.status == AIModel.Status.HIDDEN,
        open_to=open_to,
        deprecated_at=int(since.timestamp()) if is_ending and since else None,
        ends_on=row.ends_on,
        successor=row.successor_id or "",
    )


def testable(server: str) -> dict[str, tuple[str, str]]:
    """Models of a server (empty: of Cloudflare's) that a small call can be made to: name →
    upstream's name for it, and its kind."""
    return {
        offer.name: (offer.upstream_model, offer.kind)
        for offer in catalogue().offers.values()
        if offer.upstream == server and offer.kind in ("chat", "embeddings")
    }
