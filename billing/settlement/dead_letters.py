"""Captured calls that the ledger could not take: looked at, tried again, or given up.

A letter's cost stays in its tenant's `unsettled`, so it is neither spent twice nor forgotten. It
goes back into the outbox as it was, and is settled as any other event: exactly once, whoever asks
how often. One that cannot be booked comes back with its new reason.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from agentflare.money import NUSD_PER_USD
from agentflare.partitions import PARTITIONS, partition_key, partition_of
from agentflare.redis_store import get_redis, moment_of
from billing.admission import gate
from billing.usage.events import UsageEvent
from billing.usage.models import UsageRecord
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.operators.services import record
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

_PER_PARTITION = 500
_LONGEST = 300


class DeadLetterError(Exception):
    """It cannot be. The text is for the operator; nothing was changed."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """event: None where it cannot be read. cost_nusd: what stands in `unsettled` for it."""

    partition: int
    letter_id: str
    at: datetime
    tenant_code: str
    cost_nusd: int
    why: str
    event: UsageEvent | None

    @property
    def request_id(self) -> str:
        return f"req_{self.event.request_id}" if self.event else ""

    @property
    def facts(self) -> list[tuple[str, Any]]:
        """What its event says, without what is empty."""
        if self.event is None:
            return []
        return [(name, value) for name, value in asdict(self.event).items() if value]


def key_of(partition: int) -> str:
    return partition_key(partition, "dead_letters")


def letters() -> Iterator[DeadLetter]:
    """The oldest of each partition first. Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xrange(key_of(partition), count=_PER_PARTITION)
    for partition, entries in enumerate(pipeline.execute()):
        for letter_id, fields in entries:
            yield _read(partition, letter_id, fields)


def buried_nusd(tenant_code: str) -> int:
    """What a tenant's dead letters cost together: it stays in `unsettled`.

    Raises RedisDownError.
    """
    partition = partition_of(tenant_code)
    every = [_read(partition, *entry) for entry in get_redis().xrange(key_of(partition))]
    return sum(each.cost_nusd for each in every if each.tenant_code == tenant_code)


def reasons_of(found: list[DeadLetter]) -> list[tuple[str, int]]:
    """Why, and how many, the most frequent first."""
    return Counter(letter.why for letter in found).most_common()


def find(partition: int, letter_id: str) -> DeadLetter | None:
    if not 0 <= partition < PARTITIONS:
        return None
    entries = get_redis().xrange(key_of(partition), letter_id, letter_id)
    return _read(partition, *entries[0]) if entries else None


def _read(partition: int, letter_id: str, fields: dict[str, str]) -> DeadLetter:
    try:
        event = UsageEvent.loads(fields["event"])
        tenant_code = event.tenant_code
    except (KeyError, TypeError, ValueError):
        event, tenant_code = None, fields.get("tenant", "")
    cost = fields.get("cost", "")
    return DeadLetter(
        partition=partition,
        letter_id=letter_id,
        at=datetime.fromtimestamp(moment_of(letter_id), UTC),
        tenant_code=tenant_code,
        cost_nusd=int(cost) if cost.isdecimal() else 0,
        why=fields.get("why") or "not noted",
        event=event,
    )


def retry(found: list[DeadLetter], *, reason: str, actor: Actor) -> int:
    """Back into the outbox, to be settled within seconds. Returns how many went: one that
    somebody else has sent back before is left out. Raises RedisDownError."""
    found = [each for each in found if find(each.partition, each.letter_id)]
    if not found:
        return 0
    # First: what has gone back must not be without its reason, whoever is killed between.
    noted = record(
        actor=actor,
        action="dead_letter.retried",
        subject=found[0].request_id or found[0].letter_id,
        reason=reason,
        letters=len(found),
        requests=[each.request_id for each in found[:20]],
    )
    sent = sum(_send_back(each) for each in found)
    if sent < len(found):
        record(
            actor=actor,
            action="dead_letter.gone_before",
            subject=noted.subject,
            reason="Somebody else had sent them back, or given them up",
            letters=len(found) - sent,
        )
    return sent


def _send_back(letter: DeadLetter) -> bool:
    keys = [key_of(letter.partition), gate.outbox_key(letter.partition)]
    return bool(gate.script("unbury")(keys=keys, args=[letter.letter_id]))


def give_up(letter: DeadLetter, *, reason: str, actor: Actor) -> None:
    """Nobody pays for the call: its cost leaves `unsettled`, and no record of it is made. In both
    trails. Above CREDIT_ALONE_NUSD it is to be booked, and given back with a second operator.

    Raises DeadLetterError, RedisDownError.
    """
    if letter.event is None or partition_of(letter.tenant_code) != letter.partition:
        raise DeadLetterError(
            "Whose it is cannot be read, so its cost cannot be taken out of a tenant’s books. "
            "Restart settlement with a release that can read it, and retry."
        )
    if letter.cost_nusd > settings.CREDIT_ALONE_NUSD:
        raise DeadLetterError(
            f"It costs more than ${settings.CREDIT_ALONE_NUSD // NUSD_PER_USD}: have it booked, "
            "and give the credit back on the tenant’s page, where a second operator agrees."
        )
    tenant = Tenant.objects.filter(code=letter.tenant_code).first()
    if tenant is None:
        raise DeadLetterError("There is no such tenant any more.")
    with tenant_schema(tenant.code):
        if UsageRecord.objects.filter(pk=UUID(letter.event.request_id)).exists():
            raise DeadLetterError(
                "The ledger has this call: another worker has booked it. Send the letter back: "
                "it is booked no second time, and gone."
            )
    # First, and for good: the script below is no part of the transaction.
    record(
        actor=actor,
        action="dead_letter.to_be_given_up",
        subject=letter.request_id,
        reason=reason,
        tenant=tenant,
    )
    with transaction.atomic():
        facts = {"request": letter.request_id, "cost_nusd": str(letter.cost_nusd)}
        record(
            actor=actor,
            action="dead_letter.given_up",
            subject=letter.request_id,
            reason=reason,
            tenant=tenant,
            why=letter.why,
            **facts,
        )
        with tenant_schema(tenant.code):
            audit.record(
                actor=actor,
                action="usage.given_up",
                subject=letter.request_id,
                reason=reason,
                cost_nusd=facts["cost_nusd"],
            )
        # Last: where it fails, or somebody was quicker, nothing of it was.
        keys = [
            key_of(letter.partition),
            gate.gate_key(letter.tenant_code),
            gate.spend_key(letter.tenant_code, letter.event.spender),
        ]
        args: list[str | int] = [letter.letter_id, letter.cost_nusd]
        if not gate.script("drop_letter")(keys=keys, args=args):
            raise DeadLetterError("It is not there any more: somebody has seen to it.")


def words(exc: BaseException) -> str:
    """Why the ledger does not take an event, in a line."""
    # Its further lines name the row: each of one cause would be a cause of its own.
    text = " ".join(str(exc).partition("\nDETAIL")[0].split()) or type(exc).__name__
    return f"{type(exc).__name__}: {text}"[:_LONGEST]
