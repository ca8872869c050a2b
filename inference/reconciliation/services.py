"""Cloudflare's own counts: fetched account by account, beside ours, and call by call."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.db import DataError, IntegrityError
from django.utils import timezone

from agentflare.redis_store import RedisDownError, get_redis
from billing.ledger.services import LedgerError
from billing.reconciliation import awaited
from billing.reconciliation.comparing import compare, note_problem
from billing.reconciliation.corrections import Figures, correct
from billing.reconciliation.models import AwaitedFigure, UpstreamDay
from billing.reconciliation.sums import roll_up
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.models import Upstream
from inference.upstreams.secrets import UnreadableSecretError
from inference.upstreams.selectors import account_named, as_account, environment_account
from inference.workers_ai.afterwards import AfterwardsError, log_row, neurons_by_model
from tenants.registry.selectors import TenantNotFoundError

logger = logging.getLogger(__name__)
# One run, whatever it meets: less than a task may take.
_LONGEST_RUN_S = 30
# An account that does not tell of one call is not asked of the next ones: it says the same of each.
_QUIET_S = 300


@dataclass(frozen=True, slots=True)
class Pool:
    """Cloudflare accounts, and which of them each of our names belongs to.

    Two names of the same account are compared together, under the first: Cloudflare knows one.
    unreadable: names whose token is stored under another SECRET_KEY.
    """

    accounts: Mapping[str, Account]
    first_names: Mapping[str, str]
    others: frozenset[str]
    unreadable: Mapping[str, str]

    def account_of(self, name: str) -> str | None:
        """A name that is no more stands for itself; a server of another kind for none."""
        return None if name in self.others else self.first_names.get(name, name)


def read_pool() -> Pool:
    """Those that are switched off as well: they may have been called before."""
    found: list[Account] = []
    others, unreadable = set(), {}
    if account := environment_account():
        found.append(account)
    for row in Upstream.objects.order_by("created_at", "name"):
        if row.provider != Upstream.Provider.WORKERS_AI:
            others.add(row.name)
            continue
        try:
            found.append(as_account(row))
        except UnreadableSecretError as exc:
            unreadable[row.name] = exc.message
    firsts: dict[tuple[str, str], str] = {}
    names = {
        account.name: firsts.setdefault((account.base_url, account.account_id), account.name)
        for account in found
        if account.provider == WORKERS_AI
    }
    accounts = {account.name: account for account in found if names[account.name] == account.name}
    return Pool(accounts, names, frozenset(others), unreadable)


def roll_up_days(days: Iterable[date]) -> None:
    """Our side alone."""
    roll_up(days, account_of=read_pool().account_of)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Rows that were compared, and what could not be asked: account, day and why."""

    rows: list[UpstreamDay]
    problems: list[str]

    @property
    def beyond(self) -> list[UpstreamDay]:
        return [row for row in self.rows if row.state == UpstreamDay.State.BEYOND]


def reconcile(*, days: Iterable[date], account: str = "") -> Outcome:
    """Compare whole days of all accounts, or of one. Safe to repeat, and to run twice at once.

    One account that does not tell keeps back no other. Raises Upstream.DoesNotExist for an
    account that is none.
    """
    days, pool = list(days), read_pool()
    roll_up(days, account_of=pool.account_of)
    forgotten = _forgotten(pool, days)
    if account and account not in {*pool.first_names, *pool.unreadable, *forgotten}:
        raise Upstream.DoesNotExist(account)
    outcome = Outcome([], [])
    for name, each in pool.accounts.items():
        if account and pool.account_of(account) != name:
            continue
        for day in days:
            try:
                told = neurons_by_model(each, day)
            except AfterwardsError as exc:
                _note(outcome, name, day, str(exc))
            else:
                outcome.rows.extend(compare(upstream=name, day=day, neurons=told))
    for name, problem in pool.unreadable.items():
        if account in ("", name):
            for day in days:
                _note(outcome, name, day, problem)
    for name, used_on in forgotten.items():
        if account in ("", name):
            for day in used_on:
                _note(outcome, name, day, "was used, and is no account that we know of any more")
    return outcome


def _forgotten(pool: Pool, days: list[date]) -> dict[str, list[date]]:
    """Names that calls were made to, and that there is nobody to ask for: name → days."""
    found: dict[str, list[date]] = {}
    rows = UpstreamDay.objects.filter(day__in=days).exclude(
        upstream__in={*pool.accounts, *pool.unreadable}
    )
    pairs = rows.order_by("upstream", "-day").values_list("upstream", "day").distinct()
    for name, day in pairs:
        if pool.account_of(name) == name:
            found.setdefault(name, []).append(day)
    return found


def _note(outcome: Outcome, name: str, day: date, problem: str) -> None:
    note_problem(upstream=name, day=day, problem=problem)
    outcome.problems.append(f"{day} {name}: {problem}")


def collect_figures() -> int:
    """Look up what AI Gateway can tell by now, and correct by it. Returns how many calls it told.

    Bounded in calls of each account and in time; safe to run twice at once. Without Redis nothing
    is corrected: what is free is not known then.
    """
    now, deadline = timezone.now(), time.monotonic() + _LONGEST_RUN_S
    awaited.give_up(now=now)
    told = 0
    with suppress(*RedisDownError):
        for name in awaited.awaited_upstreams(now=now):
            if get_redis().exists(_quiet_key(name)):
                continue
            for collected in _collect_all(name, now=now):
                told += collected
                if time.monotonic() > deadline:
                    return told
    return told


def _collect_all(name: str, *, now: datetime) -> Iterator[bool]:
    """One account's due calls: whether the log had each. One that does not answer is left alone
    for a while."""
    rows = awaited.claim(name, limit=settings.RECONCILE_LOGS_AT_ONCE, now=now)
    try:
        account = account_named(name)
    except (Upstream.DoesNotExist, UnreadableSecretError):
        return  # it may come back before its calls are given up
    if account.provider != WORKERS_AI or not account.gateway_id:
        return
    for row in rows:
        try:
            yield _collect(account, row)
        except AfterwardsError as exc:
            logger.warning("AI Gateway's log of %s: %s", name, exc)
            if exc.is_for_all:
                get_redis().set(_quiet_key(name), 1, ex=_QUIET_S)
                return
        except (DataError, IntegrityError, LedgerError):
            # One that cannot be corrected keeps back no other.
            logger.exception("%s cannot be corrected", row)


def _quiet_key(name: str) -> str:
    return f"reconciliation:quiet:{name}"


def _collect(account: Account, awaited_row: AwaitedFigure) -> bool:
    """Returns whether the log had the call."""
    row = log_row(account, awaited_row.gateway_log_id)
    if row is None:
        return False
    if not row.is_cached:
        try:
            correct(
                tenant_code=awaited_row.tenant_code,
                request_id=awaited_row.request_id,
                told=Figures(row.input_tokens, row.cached_input_tokens, row.output_tokens),
                is_whole=awaited_row.is_whole,
            )
        except TenantNotFoundError:
            logger.info("%s belonged to a tenant that is no more", awaited_row)
    awaited.forget([awaited_row.request_id])
    return True
