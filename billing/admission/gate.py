"""The gate: each tenant's books in Redis, and the scripts that change them.

`{pNN}:gate:<tenant>` holds `posted` (the ledger's balance), `held` (by running calls),
`unsettled` (captured, not booked yet) and `version` (the ledger's). A call may start while
`posted - held - unsettled` pays for it. `{pNN}:spend:…` is the same for one key's budgets,
`{pNN}:window:…` counts the calls of a minute: scripts/shared.lua tells how. Each script is one
atomic step, and each is idempotent by request id: sending it again after a lost answer is safe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from redis.commands.core import Script

from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import get_redis
from billing.admission.rules import NOT_COUNTED, Place, Rules
from billing.usage.events import UsageEvent
from tenants.registry.status import status_key

_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Gate:
    """A tenant's books at one moment, in nUSD."""

    posted: int
    held: int
    unsettled: int
    # False: from an earlier run of Redis, whose `posted` the ledger may have left behind.
    is_current: bool = True

    @property
    def available(self) -> int:
        return self.posted - self.held - self.unsettled


@dataclass(frozen=True, slots=True)
class HoldKeys:
    """Where a request's hold lives, and what it touches."""

    gate: str
    standing: str
    hold: str
    holds: str
    done: str
    outbox: str
    spend: str
    # Of the tenant, of the key, of the key at the model.
    windows: tuple[str, str, str]
    mark: str

    @classmethod
    def of(cls, event: UsageEvent) -> "HoldKeys":
        tenant_code, request_id, spender = event.tenant_code, event.request_id, event.spender
        partition = partition_of(tenant_code)
        return cls(
            gate=gate_key(tenant_code),
            standing=status_key(tenant_code),
            hold=hold_key(partition, request_id),
            holds=holds_key(partition),
            done=partition_key(partition, f"done:{request_id}"),
            outbox=outbox_key(partition),
            spend=spend_key(tenant_code, spender),
            windows=window_keys(tenant_code, spender, event.asked_model),
            mark=mark_key(partition),
        )

    @property
    def to_begin(self) -> list[str]:
        """As admit.lua has them."""
        first = [self.gate, self.standing, self.hold, self.holds, self.done, self.spend]
        return [*first, *self.windows, self.mark]

    @property
    def to_end(self) -> list[str]:
        """As capture.lua and expire.lua have them."""
        first = [self.gate, self.hold, self.holds, self.done, self.outbox, self.spend]
        return [*first, *self.windows]


def window_keys(tenant_code: str, spender: str, model: str) -> tuple[str, str, str]:
    """Of the tenant, of the line of keys, of the line at the model that was asked for."""
    tenant = tenant_key(tenant_code, f"window:{tenant_code}")
    return tenant, f"{tenant}:{spender}", f"{tenant}:{spender}:{model}"


def spend_key(tenant_code: str, spender: str) -> str:
    """Hash: what a line of keys has spent, holds, and has used that is not booked yet."""
    return tenant_key(tenant_code, f"spend:{tenant_code}:{spender}")


def gate_key(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"gate:{tenant_code}")


def hold_key(partition: int, request_id: str) -> str:
    return partition_key(partition, f"hold:{request_id}")


def holds_key(partition: int) -> str:
    """Sorted set: the partition's request ids by the moment their holds expire (ms)."""
    return partition_key(partition, "holds")


def mark_key(partition: int) -> str:
    """The run of Redis that knows all of the partition: see marks.py."""
    return partition_key(partition, "mark")


def outbox_key(partition: int) -> str:
    """Stream: usage events that the ledger has not booked yet."""
    return partition_key(partition, "outbox")


@cache
def script(name: str) -> Script:
    text = (_SCRIPTS / "shared.lua").read_text() + (_SCRIPTS / f"{name}.lua").read_text()
    registered: Script = get_redis().register_script(text)
    return registered


def admit(
    keys: HoldKeys,
    *,
    request_id: str,
    tenant_code: str,
    amount_nusd: int,
    event: str,
    tokens: int,
    rules: Rules,
) -> Sequence[Any]:
    """Returns the script's verdict and its facts: see admit.lua."""
    day, month = periods()
    limits = [limit for each in rules.limits for limit in each.as_list()]
    verdict: Sequence[Any] = script("admit")(
        keys=keys.to_begin,
        args=[
            request_id,
            tenant_code,
            amount_nusd,
            settings.HOLD_TTL_S * 1000,
            event,
            tokens,
            day,
            month,
            *(_or_empty(number) for number in [*rules.budgets.as_list(), *limits]),
        ],
    )
    return verdict


def periods() -> tuple[str, str]:
    """The UTC day and month that it is: "20261125", "202611"."""
    return _names_of(datetime.now(UTC).date())


@lru_cache(maxsize=2)
def _names_of(day: date) -> tuple[str, str]:
    return f"{day:%Y%m%d}", f"{day:%Y%m}"


def _or_empty(number: int | None) -> int | str:
    return "" if number is None else number


def peek(windows: Sequence[str]) -> list[list[int]]:
    """Requests, tokens and running calls of each window; nothing is used up."""
    facts = [int(fact) for fact in script("peek")(keys=windows)]
    return [facts[at : at + 3] for at in range(0, len(facts), 3)]


def renew(
    keys: HoldKeys,
    *,
    request_id: str,
    tenant_code: str,
    amount_nusd: int,
    cost_nusd: int,
    event: str,
    place: Place = NOT_COUNTED,
    client: Any = None,
) -> Any:
    """1, or 0 when the hold has ended; nothing yet when `client` is a pipeline.

    place: where the call is counted, if Redis has lost its hold and makes it again.
    """
    return script("renew")(
        keys=[keys.gate, keys.hold, keys.holds, keys.done, keys.spend, *keys.windows],
        args=[
            request_id,
            tenant_code,
            amount_nusd,
            settings.HOLD_TTL_S * 1000,
            cost_nusd,
            event,
            place.windows,
            place.second,
            place.tokens,
        ],
        client=client,
    )


def count_again(window: str, seconds: Mapping[int, Sequence[int]], *, client: Any) -> None:
    """Tell a window what was admitted, as in count_again.lua. Queued in a pipeline.

    seconds: requests and tokens as the processes remember them, and as PostgreSQL admitted them.
    """
    flat = [value for second, counts in seconds.items() for value in (second, *counts)]
    again = window.replace(":window:", ":again:", 1)
    script("count_again")(keys=[window, again], args=flat, client=client)


def capture(
    keys: HoldKeys, *, request_id: str, tenant_code: str, cost_nusd: int, event: str, tokens: int
) -> tuple[int, int]:
    """Returns (cost as captured first, available), in nUSD. tokens: what the call really used."""
    cost, available = script("capture")(
        keys=keys.to_end,
        args=[request_id, tenant_code, cost_nusd, event, settings.CAPTURE_MEMORY_S, tokens],
    )
    return int(cost), int(available)


def capture_event(event: UsageEvent, keys: HoldKeys | None = None) -> tuple[int, int]:
    """As `capture`, with all that the event says. keys: its own, where they are at hand."""
    return capture(
        keys or HoldKeys.of(event),
        request_id=event.request_id,
        tenant_code=event.tenant_code,
        cost_nusd=event.cost_nusd,
        event=event.dumps(),
        tokens=event.tokens,
    )


def conclude(keys: HoldKeys, *, request_id: str, cost_nusd: int, tokens: int, client: Any) -> None:
    """End the hold of a call that the ledger has booked already. Queued in a pipeline."""
    script("conclude")(
        keys=[keys.gate, keys.hold, keys.holds, keys.done, keys.spend, *keys.windows],
        args=[request_id, cost_nusd, settings.CAPTURE_MEMORY_S, tokens],
        client=client,
    )


def expire(*, partition: int, request_id: str) -> bool:
    """Capture one dead hold by its progress. False: it was alive, or has ended."""
    text = get_redis().hget(hold_key(partition, request_id), "event")
    if text is None:
        # Half a hold: Redis came back without the rest of it.
        get_redis().zrem(holds_key(partition), request_id)
        return False
    keys = HoldKeys.of(UsageEvent.loads(text))
    ended = script("expire")(
        keys=keys.to_end,
        args=[request_id, settings.CAPTURE_MEMORY_S],
    )
    return bool(ended)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a line of keys has spent by the ledger, in nUSD, and in which day and month."""

    life_nusd: int
    day: str
    day_nusd: int
    month: str
    month_nusd: int

    def as_args(self) -> list[int | str]:
        return [self.life_nusd, self.day, self.day_nusd, self.month, self.month_nusd]


def settle(
    *,
    tenant_code: str,
    posted_nusd: int,
    version: int,
    events: Sequence[tuple[str, int, str]],
    spent: Mapping[str, Spent],
) -> int:
    """Take booked events out of outbox and `unsettled`; tell the ledger's balance and sums.

    events: (stream id, cost, line of keys) each. spent: by line, one for each that is named.
    """
    keys = [gate_key(tenant_code), outbox_key(partition_of(tenant_code))]
    # As Lua counts, from 1.
    numbers = {spender: number for number, spender in enumerate(spent, start=len(keys) + 1)}
    keys += [spend_key(tenant_code, spender) for spender in spent]
    flat = [
        value
        for stream_id, cost, spender in events
        for value in (stream_id, cost, numbers[spender])
    ]
    sums = [value for each in spent.values() for value in each.as_args()]
    left = script("settle")(keys=keys, args=[posted_nusd, version, len(events), *flat, *sums])
    return int(left)


def run_of(tenant_code: str) -> str:
    """Which run of Redis has the tenant's books: to be asked before the ledger is."""
    run: str = script("run")(keys=[gate_key(tenant_code)])
    return run


def sync(*, tenant_code: str, posted_nusd: int, version: int, run: str) -> None:
    """Tell the gate the ledger's balance as of `version`; a lower version is ignored.

    run: `run_of` before the ledger was asked. Only what was told in its own run is lent by.
    """
    script("sync")(keys=[gate_key(tenant_code)], args=[posted_nusd, version, run])


def sync_spend(*, tenant_code: str, spender: str, version: int, spent: Spent, run: str) -> None:
    """Tell what a line of keys has spent as of `version`; a lower version is ignored."""
    script("sync_spend")(
        keys=[spend_key(tenant_code, spender)], args=[version, *spent.as_args(), run]
    )


def read(tenant_code: str) -> Gate | None:
    """The books; None when Redis does not have them (they are made at the next call)."""
    books = script("books")(keys=[gate_key(tenant_code)])
    if books is None:
        return None
    posted, held, unsettled, is_current = (int(value) for value in books)
    return Gate(posted, held, unsettled, is_current=bool(is_current))
