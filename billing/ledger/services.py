"""Booking. Everything runs in the tenant's schema."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from agentflare.money import MAX_BALANCE_NUSD, format_usd
from billing.admission import gate
from billing.ledger.models import AccountCode, JournalEntry, LedgerAccount, Posting
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema


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
    entry, is_new = JournalEntry.objects.get_or_create(
        reference=reference, defaults={"kind": kind, "memo": memo, "actor": actor}
    )
    if not is_new:
        return entry, False

    accounts = lock_accounts({code for x in lines for code in (x.source, x.destination)})
    for line in lines:
        accounts[line.source].balance_nusd -= line.amount_nusd
        accounts[line.destination].balance_nusd += line.amount_nusd
    for account in accounts.values():
        account.version += 1
    credit = accounts.get(AccountCode.CREDIT)
    # The gate counts credit alone; the other accounts grow with the tenant's whole life.
    if credit and abs(credit.balance_nusd) > MAX_BALANCE_NUSD:
        raise LedgerError(f"credit would be {format_usd(credit.balance_nusd)} dollars")
    LedgerAccount.objects.bulk_update(accounts.values(), ["balance_nusd", "version"])
    Posting.objects.bulk_create(
        Posting(
            entry=entry,
            source_id=line.source,
            destination_id=line.destination,
            amount_nusd=line.amount_nusd,
        )
        for line in lines
    )
    return entry, True


def lock_accounts(codes: Iterable[AccountCode]) -> dict[AccountCode, LedgerAccount]:
    """The accounts, made where missing, locked until the transaction ends.

    In the order of their codes: a top-up and its refund touch the same accounts the
    other way round, and would deadlock.
    """
    wanted = sorted(set(codes))
    LedgerAccount.objects.bulk_create(
        [LedgerAccount(code=code) for code in wanted], ignore_conflicts=True
    )
    rows = LedgerAccount.objects.select_for_update().filter(code__in=wanted).order_by("code")
    return {AccountCode(row.code): row for row in rows}


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
