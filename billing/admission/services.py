"""May this call start? And what did it cost in the end?"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import InterfaceError, OperationalError

from agentflare import errors
from agentflare.connections import patiently
from agentflare.redis_store import RedisDownError, answers, is_clustered, is_known_down
from billing import spool
from billing.admission import fallback, gate, live_holds, outage, peers, recent, recovery, told
from billing.admission.gate import Gate
from billing.admission.live_holds import Hold
from billing.admission.marks import has_marks
from billing.admission.refusals import refusal_of
from billing.admission.rules import NO_RULES, Place, Rules, counts_of
from billing.admission.warmth import warm_up
from billing.ledger.services import LedgerError
from billing.usage.budgets import sync_spend
from billing.usage.events import UsageEvent
from tenants.registry.models import Tenant

logger = logging.getLogger(__name__)
_joining = threading.Lock()
# Admissions of PostgreSQL at once, in a process: half of the pool, for the calls that end, and
# what they hold, must find a connection too. A tenant has one of them: its calls would wait for
# each other there anyway, in everybody's way.
_at_once = threading.BoundedSemaphore(max(1, settings.DATABASE_POOL_SIZE // 2))
_turns: dict[str, threading.Semaphore] = {}
# Request ids that were refused after Redis had left one question about them unanswered.
_uncertain: set[str] = set()
_TRIES = 6
_LOOK_AGAIN_S = 5.0
_MEMORY_SIZE = 20_000
# Tenant code → when its refusal was last checked against the ledger.
_looked_at: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Captured:
    """The end of a hold, in nUSD. `available_nusd` is None where the gate was not asked."""

    cost_nusd: int
    available_nusd: int | None


def admit(*, event: UsageEvent, tokens: int = 0, rules: Rules = NO_RULES) -> Hold:
    """Let a call start: hold `event.estimated_nusd`, the most it can cost.

    event: the call's usage event as it would read if this process died at once. From
        here on the hold is renewed, with the progress put into `hold.event`.
    tokens: the most it can use; corrected when it is captured.
    A second call for the same request id returns the hold that stands.
    While Redis is down PostgreSQL decides, within bounds (fallback.py).
    Raises RateLimitError, KeyBudgetError, InsufficientCreditError, CreditHeldError,
    TenantSuspendedError or ServiceUnavailableError; then nothing is held or counted. Raises
    OperationalError when neither store answers.
    """
    if not outage.has_joined():
        _join()
    has_failed, part = False, outage.part_of(event.tenant_code)
    try:
        # An outage may begin and end under a call.
        for _ in range(_TRIES):
            try:
                admits = _admit_in_postgresql if outage.is_on(part) else _admit_in_redis
                hold = admits(event, tokens, rules)
                _uncertain.discard(event.request_id)
                return hold
            except fallback.OutageOverError:
                continue
            except _RedisLostError as exc:
                outage.enter(exc, part)
            except RedisDownError as exc:
                # Slow for once, or down?
                if has_failed or not answers(gate.gate_key(event.tenant_code)):
                    outage.enter(exc, part)
                has_failed = True
        raise errors.ServiceUnavailableError
    except Exception:
        if has_failed:
            _uncertain.add(event.request_id)
        raise


def give_up(event: UsageEvent) -> None:
    """Nobody asks for this call again: what Redis may have held for it without an answer, or may
    hold for it yet, is given back.
    """
    if event.request_id in _uncertain:
        _uncertain.discard(event.request_id)
        live_holds.note_unwanted(event)


class _RedisLostError(Exception):
    """Redis answers, and may not have what it had."""


def _join() -> None:
    """Before its first call: is there an outage that this process does not know of?

    It holds nothing yet, which is all that there is to tell in one.
    """
    with _joining:
        if outage.has_joined():
            return
        try:
            for part in patiently(_parts_in_outage):
                outage.enter("another process did without Redis", part)
            patiently(lambda: peers.note_alive(told=outage.parts_on()))
        except (OperationalError, InterfaceError):
            logger.warning("PostgreSQL is down: not known whether there is an outage of Redis")
        live_holds.start_keeper()
        outage.note_joined()


def _parts_in_outage() -> list[int]:
    return [part for part in recovery.needed(outage.parts()) if not _recovers(part)]


def _recovers(part: int) -> bool:
    try:
        return recovery.recover(part)
    except RedisDownError:
        return False


def _admit_in_redis(event: UsageEvent, tokens: int, rules: Rules) -> Hold:
    keys = gate.HoldKeys.of(event)
    verdict, *facts = _ask_gate(keys, event, tokens, rules)
    if verdict == "cold" or (verdict == "insufficient" and _may_be_stale(event.tenant_code)):
        try:
            patiently(lambda: _warm_up(event, rules))
            verdict, *facts = _ask_gate(keys, event, tokens, rules)
        except (OperationalError, InterfaceError):
            if verdict == "cold":
                raise
    if verdict == "cold":
        # It forgot between the telling and the asking.
        raise errors.ServiceUnavailableError
    if verdict != "held":
        if verdict == "limited":
            number, kind, _, used, _ = facts
            recent.note_refusal(keys.windows[int(number) - 1], kind=kind, used=int(used))
        raise refusal_of(verdict, facts, amount_nusd=event.estimated_nusd, tokens=tokens)
    available_nusd, second, windows, *counts = facts
    outage.note_available(event.tenant_code, int(available_nusd))
    hold = Hold(
        keys=keys,
        event=event,
        available_nusd=int(available_nusd),
        counts=counts_of(rules, counts),
        place=Place(windows, int(second), tokens),
    )
    if "1" in windows:
        hold.counted = recent.note(event, second=int(second), tokens=tokens)
        recent.note_fills(keys.windows, windows, hold.counts)
    live_holds.add(hold)
    return hold


def _warm_up(event: UsageEvent, rules: Rules) -> None:
    warm_up(event.tenant_code)
    if rules.budgets:
        sync_spend(event.tenant_code, event.spender)


def _admit_in_postgresql(event: UsageEvent, tokens: int, rules: Rules) -> Hold:
    if len(_turns) > _MEMORY_SIZE:
        _turns.clear()
    turn = _turns.setdefault(event.tenant_code, threading.Semaphore())
    with _soon(turn), _soon(_at_once):
        return _admit_by_ledger(event, tokens, rules)


@contextmanager
def _soon(lock: threading.Semaphore) -> Iterator[None]:
    """Raises ServiceUnavailableError for who would have to wait too long for it."""
    if not lock.acquire(timeout=settings.DATABASE_PATIENCE_S):
        raise errors.ServiceUnavailableError("The service is overloaded. Please retry later.")
    try:
        yield
    finally:
        lock.release()


def _admit_by_ledger(event: UsageEvent, tokens: int, rules: Rules) -> Hold:
    """Raises OutageOverError when it must be seen anew who admits."""
    part = outage.part_of(event.tenant_code)
    try:
        # What we know ourselves is known, at least.
        patiently(lambda: told.tell(part))
        available_nusd = patiently(lambda: fallback.admit(event=event, tokens=tokens, rules=rules))
    except fallback.OutageOverError:
        # Either nobody has told PostgreSQL yet, or somebody has told Redis all.
        is_away = is_known_down(gate.gate_key(event.tenant_code))
        if outage.is_told(part) and not is_away and patiently(lambda: recovery.recover(part)):
            outage.leave(part)
        elif outage.is_on(part):
            patiently(lambda: fallback.open_outage(part))
        raise
    hold = Hold(
        keys=gate.HoldKeys.of(event),
        event=event,
        available_nusd=available_nusd,
        place=fallback.place_of(rules, tokens),
    )
    live_holds.add(hold)
    return hold


def capture(hold: Hold, event: UsageEvent) -> Captured:
    """End a hold: take what the call cost, and hand its event to settlement.

    A repeat returns what was captured first. While Redis is down the ledger books it at once;
    with neither store it is written to the spool.
    """
    # First what may fail: a hold that is not captured must go on being renewed.
    event.dumps()
    hold.event = event
    live_holds.remove(hold)
    live_holds.correct(hold)
    # The hold is remembered until it is settled; the call, with all that it has read, is not.
    hold.progress = hold.on_stop = None
    if not outage.is_on(outage.part_of(event.tenant_code)):
        try:
            cost_nusd, available_nusd = live_holds.send_capture(hold)
        except RedisDownError as exc:
            logger.warning("Redis did not take the capture of %s: %s", event.request_id, exc)
        else:
            outage.note_available(event.tenant_code, available_nusd)
            return Captured(cost_nusd=cost_nusd, available_nusd=available_nusd)
    try:
        cost_nusd = patiently(lambda: fallback.capture(event))
        return Captured(cost_nusd=cost_nusd, available_nusd=None)
    except DatabaseFault as exc:
        logger.warning("PostgreSQL did not take the capture of %s: %s", event.request_id, exc)
    except LedgerError:
        logger.exception("The ledger did not take the capture of %s", event.request_id)
    spool.append(event)
    return Captured(cost_nusd=event.cost_nusd, available_nusd=None)


def require_credit(tenant_code: str) -> None:
    """For work that comes before a call's admission. Raises InsufficientCreditError.

    As `admit`, it looks into the ledger where the gate is cold, or may not know of a top-up.
    While Redis is down admission decides.
    """
    try:
        known = gate.read(tenant_code)
        if not _is_known(known) or (_is_spent(known) and _may_be_stale(tenant_code)):
            patiently(lambda: warm_up(tenant_code))
            known = gate.read(tenant_code)
    except RedisDownError:
        return
    if known is not None and _is_spent(known):
        raise errors.InsufficientCreditError(
            "You exceeded your current quota: there is no credit left. Add credit in the dashboard."
        )


def _is_known(books: Gate | None) -> TypeGuard[Gate]:
    return books is not None and books.is_current


def _is_spent(known: Gate) -> bool:
    return known.posted - known.unsettled <= 0


def books(tenant: Tenant) -> Gate:
    """A tenant's books, made from the ledger where Redis does not have them.

    Raises RedisDownError.
    """
    known = gate.read(tenant.code)
    if not _is_known(known):
        warm_up(tenant.code)
        known = gate.read(tenant.code)
    assert known is not None
    return known


def _may_be_stale(tenant_code: str) -> bool:
    """Whether to look into the ledger before a refusal: once in a while for each tenant.

    A Redis that was killed may have forgotten the last top-up it was told of.
    """
    now = time.monotonic()
    if _looked_at.get(tenant_code, 0) > now - _LOOK_AGAIN_S:
        return False
    if len(_looked_at) > _MEMORY_SIZE:
        _looked_at.clear()
    _looked_at[tenant_code] = now
    return True


def _ask_gate(keys: gate.HoldKeys, event: UsageEvent, tokens: int, rules: Rules) -> tuple[str, ...]:
    """Raises _RedisLostError."""
    verdict = gate.admit(
        keys,
        request_id=event.request_id,
        tenant_code=event.tenant_code,
        amount_nusd=event.estimated_nusd,
        event=event.dumps(),
        tokens=tokens,
        rules=rules,
    )
    if verdict[0] == "lost":
        part = outage.part_of(event.tenant_code)
        # Moved to another node of a cluster, whole: its books are asked of the ledger again.
        came_whole = is_clustered() and has_marks(part)
        if not came_whole and not patiently(lambda: recovery.is_new_redis(part)):
            raise _RedisLostError("Redis has been emptied, or started anew")
        return ("cold",)
    return tuple(verdict)
