"""Credit that operators give or take: once, with a reason, and a second one for much."""

import threading
from typing import Any

import pytest
from redis import exceptions

from billing.admission.gate import Gate
from billing.admission.services import admit, books
from billing.admission.tests.builders import event
from billing.business import credit
from billing.business.credit import CreditChangeError, agree, ask, refuse, tell_gates
from billing.business.models import CreditChange
from billing.dashboard.tests.builders import USD
from billing.invariants import check_gate, check_ledger
from billing.ledger.models import JournalEntry
from billing.ledger.services import credit_account
from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.registry.schemas import tenant_schema

ANN, BOB = Actor("ann@ops.test"), Actor("bob@ops.test")


@pytest.fixture(autouse=True)
def _limit(settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = 10 * USD


def balance(cast: Any) -> int:
    with tenant_schema(cast.code):
        return int(credit_account().balance_nusd)


def change(cast: Any, nusd: int, actor: Actor = ANN) -> CreditChange:
    return ask(tenant=cast.tenant, amount_nusd=nusd, reason="goodwill", actor=actor)


def assert_clean(cast: Any) -> None:
    assert list(check_ledger(cast.tenant)) == []
    assert list(check_gate(cast.tenant)) == []


@pytest.mark.parametrize(("nusd", "kind"), [(7 * USD, "grant"), (-7 * USD, "adjustment")])
def test_little_is_booked_at_once_and_the_gate_told(acme: Any, nusd: int, kind: str) -> None:
    booked = change(acme, nusd)

    assert booked.state == "booked"
    assert balance(acme) == 25 * USD + nusd
    assert books(acme.tenant) == Gate(posted=25 * USD + nusd, held=0, unsettled=0)
    with tenant_schema(acme.code):
        entry = JournalEntry.objects.get(reference=f"operator:{booked.pk.hex}")
        trail = AuditEvent.objects.order_by("-id").first()
    assert (entry.kind, entry.memo, entry.actor) == (kind, "goodwill", ANN.name)
    assert trail is not None
    assert (trail.actor, trail.detail["reason"]) == (ANN.name, "goodwill")
    assert_clean(acme)


def test_much_waits_for_another_operator(acme: Any) -> None:
    waiting = change(acme, 10 * USD + 1)
    assert (waiting.state, balance(acme)) == ("waiting", 25 * USD)
    with pytest.raises(CreditChangeError, match="Somebody else"):
        agree(waiting.pk, actor=ANN)

    assert agree(waiting.pk, actor=BOB).decided_by == BOB.name
    assert balance(acme) == 35 * USD + 1
    for decide in (agree, refuse):
        with pytest.raises(CreditChangeError, match="booked already"):
            decide(waiting.pk, actor=BOB)
    assert balance(acme) == 35 * USD + 1


def test_what_was_refused_is_never_booked(acme: Any) -> None:
    waiting = change(acme, 11 * USD)
    refuse(waiting.pk, actor=ANN)

    with pytest.raises(CreditChangeError, match="refused already"):
        agree(waiting.pk, actor=BOB)
    assert balance(acme) == 25 * USD


def test_no_more_is_taken_than_is_available(acme: Any, settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = 100 * USD
    admit(event=event(acme, 20 * USD))

    with pytest.raises(CreditChangeError, match="No more can be taken"):
        change(acme, -5 * USD - 1)
    assert balance(acme) == 25 * USD
    assert not CreditChange.objects.filter(tenant=acme.tenant).exists()
    change(acme, -5 * USD)
    assert books(acme.tenant).available == 0


def test_two_who_agree_at_once_book_it_once(acme: Any) -> None:
    waiting = change(acme, -20 * USD)
    outcomes: list[str] = []

    def decide(name: str) -> None:
        from django.db import connection

        try:
            outcomes.append(agree(waiting.pk, actor=Actor(name)).state)
        except CreditChangeError as exc:
            outcomes.append(str(exc))
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(f"{n}@ops.test",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("booked") == 1, outcomes
    assert balance(acme) == 5 * USD
    tell_gates()
    assert books(acme.tenant) == Gate(posted=5 * USD, held=0, unsettled=0)
    assert_clean(acme)


def test_a_gate_that_was_not_told_is_told_later_and_lends_nothing_meanwhile(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(tenant_code: str) -> None:
        raise exceptions.ConnectionError("gone")

    books(acme.tenant)
    with monkeypatch.context() as patched:
        patched.setattr(credit, "sync_gate", down)
        booked = change(acme, -10 * USD)
    with pytest.raises(CreditChangeError, match="booked already"):
        agree(booked.pk, actor=BOB)
    assert balance(acme) == 15 * USD
    assert books(acme.tenant).available == 15 * USD, "what was taken is held"

    assert tell_gates() == 1
    assert tell_gates() == 0
    assert books(acme.tenant) == Gate(posted=15 * USD, held=0, unsettled=0)


@pytest.mark.parametrize(("nusd", "reason"), [(0, "x"), (5, " ")])
def test_nothing_and_no_reason_are_refused(acme: Any, nusd: int, reason: str) -> None:
    with pytest.raises(CreditChangeError):
        ask(tenant=acme.tenant, amount_nusd=nusd, reason=reason, actor=ANN)
