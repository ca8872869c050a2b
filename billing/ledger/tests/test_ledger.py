from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from agentflare.money import MAX_BALANCE_NUSD
from billing.ledger.models import AccountCode, JournalEntry, LedgerAccount, Posting
from billing.ledger.services import LedgerError, Line, grant_credit, post_entry
from tenants.audit.models import AuditEvent
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000


def balances(cast: Any) -> dict[str, int]:
    with tenant_schema(cast.code):
        return dict(LedgerAccount.objects.values_list("code", "balance_nusd"))


def test_a_grant_moves_money_from_promotion_to_credit_and_is_audited(acme: Any) -> None:
    assert grant_credit(tenant=acme.tenant, amount_nusd=5, reference="gift", actor="op@x.test")

    assert balances(acme) == {"credit": 25 * USD + 5, "promotion": -25 * USD - 5}
    with tenant_schema(acme.code):
        audit = AuditEvent.objects.get(action="credit.granted", subject="grant:gift")
        assert (audit.actor, audit.detail["amount_nusd"]) == ("op@x.test", "5")


def test_a_grant_with_the_same_reference_is_booked_once(acme: Any) -> None:
    assert not grant_credit(tenant=acme.tenant, amount_nusd=9, reference="test", actor="test")

    assert balances(acme)["credit"] == 25 * USD


def test_grants_at_once_add_up(acme: Any) -> None:
    def grant(number: int) -> None:
        try:
            grant_credit(tenant=acme.tenant, amount_nusd=1, reference=str(number), actor="test")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(grant, range(24)))

    assert balances(acme)["credit"] == 25 * USD + 24
    with tenant_schema(acme.code):
        assert LedgerAccount.objects.get(code="credit").version == 25


def test_the_same_grant_by_many_at_once_is_booked_once(acme: Any) -> None:
    def grant(_: int) -> bool:
        try:
            return grant_credit(tenant=acme.tenant, amount_nusd=1, reference="one", actor="test")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        booked = sum(pool.map(grant, range(16)))

    assert booked == 1
    assert balances(acme)["credit"] == 25 * USD + 1


@pytest.mark.parametrize("amount_nusd", [0, -1, MAX_BALANCE_NUSD])
def test_a_grant_of_nothing_or_too_much_is_refused_and_books_nothing(
    acme: Any, amount_nusd: int
) -> None:
    with pytest.raises(LedgerError):
        grant_credit(tenant=acme.tenant, amount_nusd=amount_nusd, reference="odd", actor="test")

    assert balances(acme)["credit"] == 25 * USD
    with tenant_schema(acme.code):
        assert not JournalEntry.objects.filter(reference="grant:odd").exists()


def test_the_database_itself_refuses_a_posting_that_is_not_positive(acme: Any) -> None:
    line = Line(AccountCode.CREDIT, AccountCode.USAGE, -5)
    with tenant_schema(acme.code):
        with pytest.raises(IntegrityError), transaction.atomic():
            post_entry(reference="odd", kind=JournalEntry.Kind.ADJUSTMENT, lines=[line])
        assert Posting.objects.count() == 1
    assert balances(acme)["credit"] == 25 * USD


def test_spending_over_a_lifetime_has_no_bound(acme: Any) -> None:
    """Only what a tenant has at one time is bound; what it ever spent is not."""
    with tenant_schema(acme.code):
        for number in range(3):
            most = MAX_BALANCE_NUSD // 2
            lines = [
                Line(AccountCode.PROMOTION, AccountCode.CREDIT, most),
                Line(AccountCode.CREDIT, AccountCode.USAGE, most),
            ]
            post_entry(reference=f"n{number}", kind=JournalEntry.Kind.ADJUSTMENT, lines=lines)

    assert balances(acme)["usage"] > MAX_BALANCE_NUSD


def test_commands_grant_and_print_the_balance(acme: Any) -> None:
    out = StringIO()
    call_command("grant_credit", acme.tenant.slug, "0.5", "--reference", "cmd", stdout=out)
    call_command("grant_credit", acme.tenant.slug, "0.5", "--reference", "cmd", stdout=out)
    call_command("balance", acme.tenant.slug, "--json", stdout=out)

    gave, again, balance = out.getvalue().strip().splitlines()
    assert gave == f"Gave {acme.tenant.slug} $0.500000000."
    assert "booked before" in again
    assert balance == (
        '{"posted": "25.500000000", "held": "0.000000000", '
        '"unsettled": "0.000000000", "available": "25.500000000"}'
    )


@pytest.mark.parametrize("arguments", [["nobody", "5"], ["{slug}", "five"], ["{slug}", "-5"]])
def test_commands_refuse_in_one_line(acme: Any, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"^[^\n]+$"):
        call_command("grant_credit", "--", *(x.format(slug=acme.tenant.slug) for x in arguments))
