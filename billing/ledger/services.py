"""Booking. Everything runs in the tenant's schema."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from agentflare.money import MAX_BALANCE_NUSD, format_usd
from billing.admission import gate
from billing.ledger.models import AccountCode, JournalEntry, LedgerAccount
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

# What is there is written as it was: that locks it, and tells what others have committed while it
# was waited for, in one statement.
_LOCK = """
INSERT INTO ledger_ledgeraccount AS account (code, balance_nusd, version)
SELECT code, 0, 0 FROM unnest(%s::text[]) AS wanted (code)
ON CONFLICT (code) DO UPDATE SET version = account.version
RETURNING code, balance_nusd, version
"""
# All of an entry, or nothing of it where its reference is booked.
_POST = """
WITH entry AS (
    INSERT INTO ledger_journalentry (reference, kind, memo, actor, created_at)
    VALUES (%(reference)s, %(kind)s, %(memo)s, %(actor)s, %(created_at)s)
    ON CONFLICT (reference) DO NOTHING RETURNING id
), posted AS (
    INSERT INTO ledger_posting (entry_id, source_id, destination_id, amount_nusd)
    SELECT entry.id, line.source, line.destination, line.amount_nusd
      FROM entry, unnest(%(sources)s::text[], %(destinations)s::text[], %(amounts)s::bigint[])
           AS line (source, destination, amount_nusd)
), moved AS (
    UPDATE ledger_ledgeraccount AS account
       SET balance_nusd = account.balance_nusd + change.nusd, version = account.version + 1
      FROM entry, unnest(%(changed)s::text[], %(changes)s::bigint[]) AS change (code, nusd)
     WHERE account.code = change.code
)
SELECT id FROM entry
"""


class LedgerError(Exception):
    """An entry that cannot be booked. Nothing was."""


@dataclass(frozen=True, slots=True)
class Line:
    """Money that goes from one account to another."""

    source: AccountCode
    destination: AccountCode
    amount_nusd: int


@transaction.atomic
def post_entry(
    *,
    reference: str,
    kind: JournalEntry.Kind,
    lines: Iterable[Line],
    memo: str = "",
    actor: str = "",
) -> tuple[JournalEntry, bool]:
    """Book one journal entry: all its postings, or nothing.

    reference: unique, names the cause ("stripe:<payment intent id>"). Posting it again
        returns the entry booked first. The bool tells whether this call booked it.
    Raises LedgerError when a balance would leave the range that the gate can count.
    """
    lines = list(lines)
    accounts = lock_accounts({code for x in lines for code in (x.source, x.destination)})
    return post_locked(
        accounts, reference=reference, kind=kind, lines=lines, memo=memo, actor=actor
    )


def post_locked(
    accounts: Mapping[AccountCode, LedgerAccount],
    *,
    reference: str,
    kind: JournalEntry.Kind,
    lines: Sequence[Line],
    memo: str = "",
    actor: str = "",
) -> tuple[JournalEntry, bool]:
    """As `post_entry`, of accounts that the caller's transaction has locked: all that the lines
    name. They are as the database has them afterwards."""
    changes: dict[AccountCode, int] = defaultdict(int)
    for line in lines:
        changes[line.source] -= line.amount_nusd
        changes[line.destination] += line.amount_nusd
    # The gate counts credit alone; the other accounts grow with the tenant's whole life.
    if AccountCode.CREDIT in changes:
        credit_nusd = accounts[AccountCode.CREDIT].balance_nusd + changes[AccountCode.CREDIT]
        if abs(credit_nusd) > MAX_BALANCE_NUSD:
            if entry := JournalEntry.objects.filter(reference=reference).first():
                return entry, False
            raise LedgerError(f"credit would be {format_usd(credit_nusd)} dollars")
    values: dict[str, Any] = {
        "reference": reference,
        "kind": kind,
        "memo": memo,
        "actor": actor,
        "created_at": timezone.now(),
    }
    columns: dict[str, Any] = {
        "sources": [line.source for line in lines],
        "destinations": [line.destination for line in lines],
        "amounts": [line.amount_nusd for line in lines],
        "changed": list(changes),
        "changes": list(changes.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_POST, {**values, **columns})
        row = cursor.fetchone()
    if row is None:
        return JournalEntry.objects.get(reference=reference), False
    for code, change_nusd in changes.items():
        accounts[code].balance_nusd += change_nusd
        accounts[code].version += 1
    entry = JournalEntry(id=row[0], **values)
    entry._state.adding = False
    return entry, True


def lock_accounts(codes: Iterable[AccountCode]) -> dict[AccountCode, LedgerAccount]:
    """The accounts, made where missing, locked until the transaction ends.

    In the order of their codes: a top-up and its refund touch the same accounts the
    other way round, and would deadlock.
    """
    wanted = sorted(set(codes))
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [wanted])
        rows = cursor.fetchall()
    return {
        AccountCode(code): LedgerAccount(code=code, balance_nusd=balance_nusd, version=version)
        for code, balance_nusd, version in rows
    }


def credit_account() -> LedgerAccount:
    """What we owe the tenant, as last committed; zero before the first entry."""
    return LedgerAccount.objects.filter(code=AccountCode.CREDIT).first() or LedgerAccount(
        code=AccountCode.CREDIT
    )


def grant_credit(
    *, tenant: Tenant, amount_nusd: int, reference: str, actor: str, memo: str = ""
) -> bool:
    """Give a tenant credit. False: an entry with this reference was booked before.

    Raises LedgerError for an amount that is not positive, or too large.
    """
    if amount_nusd <= 0:
        raise LedgerError("a grant must be more than nothing")
    with tenant_schema(tenant.code):
        with transaction.atomic():
            line = Line(AccountCode.PROMOTION, AccountCode.CREDIT, amount_nusd)
            entry, is_new = post_entry(
                reference=f"grant:{reference}",
                kind=JournalEntry.Kind.GRANT,
                lines=[line],
                memo=memo,
                actor=actor,
            )
            if is_new:
                audit.record(
                    actor=actor,
                    action="credit.granted",
                    subject=entry.reference,
                    amount_nusd=str(amount_nusd),
                )
        sync_gate(tenant.code)
    return is_new


def sync_gate(tenant_code: str) -> None:
    """Tell the gate the ledger's balance. Safe at any time: a higher version wins there."""
    run = gate.run_of(tenant_code)
    with tenant_schema(tenant_code):
        account = credit_account()
    gate.sync(
        tenant_code=tenant_code,
        posted_nusd=account.balance_nusd,
        version=account.version,
        run=run,
    )
