"""Calls that the ledger did not take: sent back once, however often; given up exactly."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client

from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_store import get_redis
from billing import invariants
from billing.admission import gate
from billing.admission.gate import Gate
from billing.admission.services import books
from billing.business.backlog import samples, take_sample, waiting
from billing.business.models import QueueSample
from billing.dashboard.tests.builders import USD, call, settle
from billing.settlement import dead_letters, services
from billing.settlement.dead_letters import DeadLetterError, give_up, key_of, letters, retry
from billing.settlement.services import read_outbox
from billing.usage.models import UsageRecord
from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.operators.models import OperatorAction
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser, staff_browser

ANN = Actor("ann@ops.test")
PAGE = "/admin/dead-letters/"


@pytest.fixture(autouse=True)
def no_others(_database: None) -> Iterator[None]:
    def clean() -> None:
        for partition in range(PARTITIONS):
            get_redis().delete(key_of(partition))

    clean()
    yield
    clean()


def bury_one(cast: Any, cost_nusd: int = 8) -> dead_letters.DeadLetter:
    """A call whose endpoint is longer than its column."""
    call(cast, cost_nusd, endpoint="x" * 41)
    settle(cast)
    (letter,) = letters_of(cast)
    return letter


def letters_of(cast: Any) -> list[dead_letters.DeadLetter]:
    """Its own: other tests leave calls in the same partition that nobody has settled."""
    return [each for each in letters() if each.tenant_code == cast.code]


def mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that can book it."""
    real = services.as_record

    def mended(request_id: Any, event: Any, entry: Any) -> UsageRecord:
        return real(request_id, event.with_(endpoint=event.endpoint[:40]), entry)

    monkeypatch.setattr(services, "as_record", mended)


def costs(cast: Any) -> list[int]:
    with tenant_schema(cast.code):
        return list(UsageRecord.objects.values_list("cost_nusd", flat=True))


def test_a_letter_tells_whose_it_is_what_it_costs_and_why(acme: Any) -> None:
    letter = bury_one(acme)
    assert letter.cost_nusd == 8
    assert letter.request_id.startswith("req_")
    assert letter.why.startswith("DataError: value too long for type character varying(40)")
    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=8)


def test_sent_back_without_mending_it_comes_back_with_its_reason(acme: Any) -> None:
    letter = bury_one(acme)
    assert retry([letter], reason="Try", actor=ANN) == 1
    settle(acme)
    (again,) = letters_of(acme)
    assert again.why == letter.why
    assert again.letter_id != letter.letter_id
    assert books(acme.tenant).unsettled == 8


def test_mended_it_is_booked_once_however_often_it_is_sent_back(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = bury_one(acme)
    mend(monkeypatch)
    assert [retry([letter], reason="Mended", actor=ANN) for _ in range(3)] == [1, 0, 0]
    settle(acme)
    assert costs(acme) == [8]
    assert books(acme.tenant) == Gate(posted=25 * USD - 8, held=0, unsettled=0)
    assert retry([letter], reason="Again", actor=ANN) == 0
    settle(acme)
    assert costs(acme) == [8]
    actions = OperatorAction.objects.filter(action="dead_letter.retried", reason="Mended")
    assert [action.detail["requests"] for action in actions] == [[letter.request_id]]


def test_the_audit_tells_of_it_once(acme: Any) -> None:
    bury_one(acme)
    assert [*invariants.check_gate(acme.tenant)] == []
    assert any("could not be booked" in fault for fault in invariants.check_dead_letters())


def test_many_operators_at_once_send_it_back_once(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = bury_one(acme)
    mend(monkeypatch)
    together = threading.Barrier(6)

    def send(_: int) -> int:
        together.wait()
        try:
            return retry([letter], reason="Mended", actor=ANN)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(send, range(6))) == 1
    settle(acme)
    assert costs(acme) == [8]
    assert books(acme.tenant) == Gate(posted=25 * USD - 8, held=0, unsettled=0)


def test_two_workers_that_find_it_bury_it_once(acme: Any) -> None:
    call(acme, 8, endpoint="x" * 41)
    partition = partition_of(acme.code)
    (delivery,) = [
        each for each in read_outbox(partition, limit=1000) if each.event.tenant_code == acme.code
    ]
    fields = {"tenant": acme.code, "cost": "8", "event": delivery.event.dumps()}
    for _ in range(2):
        services.bury(partition, delivery.stream_id, fields, why="x")
    assert len(letters_of(acme)) == 1


def test_given_up_nobody_pays_and_both_trails_have_it(acme: Any) -> None:
    letter = bury_one(acme)
    give_up(letter, reason="A fault of ours", actor=ANN)

    assert letters_of(acme) == []
    assert costs(acme) == []
    assert books(acme.tenant) == Gate(posted=25 * USD, held=0, unsettled=0)
    spend = get_redis().hgetall(gate.spend_key(acme.code, letter.event.spender))  # type: ignore[union-attr]
    assert spend.get("unsettled", "0") == "0"
    with tenant_schema(acme.code):
        told = AuditEvent.objects.get(action="usage.given_up")
    assert (told.actor, told.detail["reason"]) == (ANN.name, "A fault of ours")
    assert told.detail["cost_nusd"] == "8"
    ours = OperatorAction.objects.get(action="dead_letter.given_up", tenant_code=acme.code)
    assert ours.detail["why"] == letter.why

    with pytest.raises(DeadLetterError, match="not there any more"):
        give_up(letter, reason="Again", actor=ANN)
    assert books(acme.tenant).unsettled == 0
    assert OperatorAction.objects.filter(action="dead_letter.given_up").count() == 1


def test_what_another_worker_has_booked_is_not_given_up_and_goes_when_it_is_sent_back(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = bury_one(acme)
    mend(monkeypatch)
    assert letter.event is not None
    with tenant_schema(acme.code):
        services.book([letter.event])
    with pytest.raises(DeadLetterError, match="another worker has booked it"):
        give_up(letter, reason="x", actor=ANN)
    retry([letter], reason="x", actor=ANN)
    settle(acme)
    assert costs(acme) == [8]
    assert letters_of(acme) == []
    assert books(acme.tenant) == Gate(posted=25 * USD - 8, held=0, unsettled=0)


def test_too_much_is_not_given_up_by_one(acme: Any, settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = 7
    letter = bury_one(acme)
    with pytest.raises(DeadLetterError, match="second operator"):
        give_up(letter, reason="x", actor=ANN)
    assert books(acme.tenant).unsettled == 8
    assert len(letters_of(acme)) == 1


def test_what_cannot_be_read_is_shown_and_stays(acme: Any) -> None:
    partition = partition_of(acme.code)
    get_redis().xadd(gate.outbox_key(partition), {"tenant": acme.code, "cost": "3", "event": "{"})
    settle(acme)
    (letter,) = letters_of(acme)
    assert letter.why.startswith("It cannot be read")
    with pytest.raises(DeadLetterError, match="cannot be read"):
        give_up(letter, reason="x", actor=ANN)
    page = operator_browser().get(PAGE).content.decode()
    assert "An event that cannot be read" in page
    assert retry([letter], reason="x", actor=ANN) == 1
    settle(acme)
    assert len(letters_of(acme)) == 1


# --- pages and command ----------------------------------------------------------------


def post(client: Client, path: str, **form: Any) -> str:
    return str(client.post(f"{PAGE}{path}/", form, follow=True).content.decode())


def test_an_operator_sends_back_and_gives_up_on_the_page(
    acme: Any, globex: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = bury_one(acme), bury_one(globex, 9)
    client = operator_browser()
    page = client.get(PAGE).content.decode()
    assert "2 letters, $0.000000017" in page
    assert mine.request_id in page

    one = {"partition": mine.partition, "letter": mine.letter_id}
    assert "say why" in post(client, "retry", **one)
    assert "say why" in post(client, "give-up", **one)
    assert "nobody pays" in post(client, "give-up", **one, reason="Ours")
    assert "not there any more" in post(client, "give-up", **one, reason="Ours")
    mend(monkeypatch)
    assert "1 went back" in post(client, "retry", why=theirs.why, reason="Mended")
    settle(globex)
    assert costs(globex) == [9]
    assert "None was there any more" in post(client, "retry", why=theirs.why, reason="x")
    assert "Every call that has ended is in the ledger" in client.get(PAGE).content.decode()


@pytest.mark.parametrize(
    "place",
    [
        {"partition": "999999", "letter": "1-1"},
        {"partition": "-1", "letter": "1-1"},
        {"partition": "x", "letter": "1-1"},
        {"partition": "0", "letter": "+"},
        {"partition": "0", "letter": "1-1-1"},
        {"partition": "0"},
    ],
)
def test_nonsense_gives_nothing_up(acme: Any, place: dict[str, str]) -> None:
    bury_one(acme)
    assert "not there any more" in post(operator_browser(), "give-up", **place, reason="x")
    assert len(letters_of(acme)) == 1


def test_who_looks_changes_nothing(acme: Any) -> None:
    bury_one(acme)
    client = staff_browser("view_queuesample")
    page = client.get(PAGE).content.decode()
    assert "Send back" not in page
    for path in ("retry", "give-up"):
        assert client.post(f"{PAGE}{path}/", {"reason": "x"}).status_code == 403
    assert staff_browser().get(PAGE).status_code == 403


def test_the_command_lists_and_sends_back(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = bury_one(acme)
    out = StringIO()
    call_command("dead_letters", "list", stdout=out)
    assert letter.request_id in out.getvalue()
    with pytest.raises(CommandError, match="reason"):
        call_command("dead_letters", "retry")
    mend(monkeypatch)
    call_command("dead_letters", "retry", "--reason", "Mended", stdout=out)
    settle(acme)
    assert costs(acme) == [8]


# --- the backlog ----------------------------------------------------------------------


def test_the_backlog_tells_where_and_whose_it_is(acme: Any) -> None:
    # What other tests have left there would stand before it.
    get_redis().delete(gate.outbox_key(partition_of(acme.code)))
    call(acme, 5)
    call(acme, 6)
    (mine,) = [each for each in waiting() if each.partition == partition_of(acme.code)]
    assert (acme.code, 2) in mine.tenants
    page = operator_browser().get("/admin/settlement/").content.decode()
    assert "By partition" in page
    assert acme.tenant.name in page
    settle(acme)
    assert not [each for each in waiting() if each.partition == partition_of(acme.code)]


def test_each_minute_is_noted_once_and_charted(acme: Any) -> None:
    QueueSample.objects.all().delete()
    page = operator_browser().get("/admin/settlement/").content.decode()
    assert "No minute was noted yet" in page
    call(acme, 5)
    take_sample()
    take_sample()
    assert QueueSample.objects.count() in (1, 2)  # a minute may have ended in between
    assert samples()[-1].waiting >= 1
    page = operator_browser().get("/admin/settlement/").content.decode()
    assert "Calls that wait" in page
    settle(acme)
