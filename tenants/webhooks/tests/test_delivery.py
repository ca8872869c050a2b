"""Events: once per cause, signed, tried again for a day, never in the way."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.keys.services import create_api_key, revoke_api_key, rotate_api_key
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import suspend_tenant
from tenants.webhooks import delivery as delivering
from tenants.webhooks import endpoints, sending
from tenants.webhooks.delivery import BACK_OFF_S, deliver, wake_up_tenants
from tenants.webhooks.events import EVENTS
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.webhooks.outbox import emit
from tenants.webhooks.tests.receiver import Receiver, receiving
from tenants.workspaces.models import WakeUp

ACTOR = Actor("owner@acme.test", "203.0.113.9")
State = WebhookDelivery.State


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.SANDBOX = True
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    with receiving() as server:
        yield server


def endpoint(cast: Any, url: str, events: list[str] | None = None) -> tuple[WebhookEndpoint, str]:
    with tenant_schema(cast.code):
        return endpoints.create_endpoint(
            tenant=cast.tenant, url=url, name="", events=events or list(EVENTS), actor=ACTOR
        )


def say(cast: Any, cause: str = "1", event: str = "balance.low") -> int:
    return emit(tenant_code=cast.code, event=event, cause=cause, data={"left_nusd": "5"})


def rows(cast: Any) -> list[WebhookDelivery]:
    """Newest first."""
    with tenant_schema(cast.code):
        return list(WebhookDelivery.objects.select_related("endpoint"))


def make_due(cast: Any) -> None:
    with tenant_schema(cast.code):
        WebhookDelivery.objects.filter(state=State.PENDING).update(next_at=timezone.now())


def test_what_is_sent_verifies(acme: Any, receiver: Receiver) -> None:
    """With the library that tenants would use."""
    _, secret = endpoint(acme, receiver.url)

    say(acme)
    assert deliver(acme.tenant) == 1

    ((path, headers, body),) = receiver.got
    told = Webhook(secret).verify(body, headers)
    assert path == "/hook"
    assert told == json.loads(body)
    assert (told["type"], told["data"]) == ("balance.low", {"left_nusd": "5"})
    assert headers["webhook-id"].startswith("msg_")
    (row,) = rows(acme)
    assert (row.state, row.attempts[0]["status"]) == (State.DELIVERED, 200)
    assert row.attempts[0]["answer"] == "thanks"


def test_a_changed_body_does_not_verify(acme: Any, receiver: Receiver) -> None:
    _, secret = endpoint(acme, receiver.url)
    say(acme)
    deliver(acme.tenant)
    _, headers, body = receiver.got[0]

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)


def test_while_a_secret_changes_both_verify(acme: Any, receiver: Receiver) -> None:
    row, old = endpoint(acme, receiver.url)
    with tenant_schema(acme.code):
        _, new = endpoints.rotate_secret(endpoint_id=row.pk, actor=ACTOR)
    say(acme)
    deliver(acme.tenant)

    _, headers, body = receiver.got[0]
    for secret in (old, new):
        Webhook(secret).verify(body, headers)

    with tenant_schema(acme.code):
        WebhookEndpoint.objects.update(old_secret_until=timezone.now())
    say(acme, "2")
    deliver(acme.tenant)
    _, headers, body = receiver.got[1]
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_the_secret_is_kept_encrypted(acme: Any, receiver: Receiver) -> None:
    row, secret = endpoint(acme, receiver.url)
    assert secret.removeprefix("whsec_") not in row.secret


def test_one_event_for_one_cause(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)

    for _ in range(3):
        say(acme, "the same")
    deliver(acme.tenant)
    say(acme, "the same")
    deliver(acme.tenant)

    assert len(receiver.got) == 1


def test_two_at_once_tell_it_once(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    gate = threading.Barrier(3)

    def work() -> None:
        gate.wait()
        say(acme, "raced")
        deliver(acme.tenant)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliver(acme.tenant)

    assert len(receiver.got) == 1


def test_without_the_cause_there_is_no_event(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)

    with transaction.atomic():
        say(acme)
        transaction.set_rollback(True)

    deliver(acme.tenant)
    assert receiver.got == []
    assert rows(acme) == []


def test_only_chosen_events_are_sent_and_only_to_their_tenant(
    acme: Any, globex: Any, receiver: Receiver
) -> None:
    endpoint(acme, receiver.url, ["key.created"])
    endpoint(globex, receiver.url)

    say(acme, event="balance.low")
    deliver(acme.tenant)
    deliver(globex.tenant)

    assert receiver.got == []


def test_noting_an_event_asks_no_broker_and_sends_nothing(
    acme: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happens where money is booked."""
    endpoint(acme, receiver.url)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr("celery.app.task.Task.apply_async", fail)
    monkeypatch.setattr("socket.create_connection", fail)

    assert say(acme) == 1


def test_a_failure_is_tried_again_later_and_later(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    receiver.status = 500
    say(acme)

    for number, seconds in enumerate(BACK_OFF_S, start=1):
        make_due(acme)
        deliver(acme.tenant)
        (row,) = rows(acme)
        assert (row.state, row.tries, len(receiver.got)) == (State.PENDING, number, number)
        assert row.next_at
        wait = (row.next_at - timezone.now()).total_seconds()
        assert 0.9 * seconds - 2 <= wait <= 1.1 * seconds + 1
    make_due(acme)
    deliver(acme.tenant)

    (row,) = rows(acme)
    assert (row.state, row.next_at) == (State.FAILED, None)
    assert len(set(receiver.ids)) == 1
    assert 24 * 3600 <= sum(BACK_OFF_S) <= 28 * 3600


def test_nothing_is_sent_before_its_time(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    receiver.status = 503
    say(acme)
    deliver(acme.tenant)

    assert deliver(acme.tenant) == 0


def test_the_next_try_wakes_somebody_up(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    receiver.status = 503
    say(acme)
    ids = dict(wake_up_tenants())[acme.code]
    deliver(acme.tenant, wake_ups=ids)

    (left,) = WakeUp.objects.filter(tenant_code=acme.code)
    (row,) = rows(acme)
    assert left.due_at == row.next_at


def test_a_wake_up_that_nobody_finishes_comes_again(acme: Any, receiver: Receiver) -> None:
    """The worker was killed between taking and sending."""
    endpoint(acme, receiver.url)
    say(acme)
    first = dict(wake_up_tenants())[acme.code]
    assert acme.code not in dict(wake_up_tenants())

    WakeUp.objects.filter(pk__in=first).update(due_at=timezone.now())

    assert dict(wake_up_tenants())[acme.code] == first


def test_what_a_killed_worker_had_taken_is_sent_after_its_lease(
    acme: Any, receiver: Receiver
) -> None:
    endpoint(acme, receiver.url)
    say(acme)
    with tenant_schema(acme.code):
        assert len(delivering._take()) == 1  # and no more is heard of it
    assert deliver(acme.tenant) == 0

    make_due(acme)

    assert deliver(acme.tenant) == 1
    assert len(receiver.got) == 1


def test_lasting_failure_switches_it_off_and_is_mailed(
    acme: Any, receiver: Receiver, mailoutbox: list[Any]
) -> None:
    row, _ = endpoint(acme, receiver.url)
    receiver.status = 500
    say(acme, "1")
    say(acme, "2")
    with tenant_schema(acme.code):
        WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=2))
        WebhookDelivery.objects.filter(pk=rows(acme)[0].pk).update(tries=len(BACK_OFF_S))
    deliver(acme.tenant)

    with tenant_schema(acme.code):
        row.refresh_from_db()
        assert AuditEvent.objects.filter(action="webhook.disabled").count() == 1
    assert not row.is_enabled
    assert row.disabled_at
    assert {each.state for each in rows(acme)} == {State.FAILED}
    assert [mail.to for mail in mailoutbox] == [[acme.owner.email]]
    assert "switched off" in mailoutbox[0].subject
    say(acme, "3")
    assert len(rows(acme)) == 2


def test_one_that_worked_lately_stays_on(acme: Any, receiver: Receiver) -> None:
    row, _ = endpoint(acme, receiver.url)
    receiver.status = 500
    say(acme)
    with tenant_schema(acme.code):
        WebhookDelivery.objects.update(tries=len(BACK_OFF_S))
    deliver(acme.tenant)

    with tenant_schema(acme.code):
        row.refresh_from_db()
    assert row.is_enabled
    assert row.failing_since


def test_gone_means_gone(acme: Any, receiver: Receiver) -> None:
    row, _ = endpoint(acme, receiver.url)
    receiver.status = 410
    say(acme)
    deliver(acme.tenant)

    with tenant_schema(acme.code):
        row.refresh_from_db()
    assert not row.is_enabled


def test_a_success_ends_a_series_of_failures(acme: Any, receiver: Receiver) -> None:
    row, _ = endpoint(acme, receiver.url)
    receiver.status = 500
    say(acme)
    deliver(acme.tenant)
    receiver.status = 204
    make_due(acme)
    deliver(acme.tenant)

    with tenant_schema(acme.code):
        row.refresh_from_db()
    assert row.failing_since is None
    assert rows(acme)[0].state == State.DELIVERED


def test_sent_again_by_hand_has_the_same_id(acme: Any, receiver: Receiver) -> None:
    row, _ = endpoint(acme, receiver.url)
    say(acme)
    deliver(acme.tenant)
    with tenant_schema(acme.code):
        for _ in range(2):  # pressed twice
            endpoints.send_again(
                tenant=acme.tenant, endpoint_id=row.pk, delivery_id=rows(acme)[0].pk, actor=ACTOR
            )
    deliver(acme.tenant)

    assert len(receiver.got) == 2
    assert len(set(receiver.ids)) == 1


def test_old_deliveries_leave_the_log(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    say(acme, "old")
    deliver(acme.tenant)
    with tenant_schema(acme.code):
        WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    say(acme, "new")
    deliver(acme.tenant)

    assert len(rows(acme)) == 1


# --- where it may go ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "only https"),
        ("ftp://example.com/", "only http"),
        ("https://user:secret@example.com/", "user name or password"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("https://10.1.2.3/", "not on the public internet"),
        ("https://2130706433/", "not on the public internet"),
        ("https://0x7f.1/", "not on the public internet"),
        ("https://localhost/", "not on the public internet"),
        ("https://1.1.1.1:6379/", "only the ports"),
        ("https://", "no valid host"),
        ("nonsense", "only http"),
    ],
)
def test_these_are_refused(url: str, why: str) -> None:
    with pytest.raises(sending.OutsideError, match=why):
        sending.check_url(url)


def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentflare.outside import request

    found = ["93.184.216.34", "10.0.0.1"]
    monkeypatch.setattr(
        request, "resolve", lambda *_, **__: [request.networks.parse(text) for text in found]
    )

    with pytest.raises(sending.OutsideError, match="not on the public internet"):
        sending.check_url("https://rebinding.test/")


def test_a_name_that_changes_after_it_was_checked_is_not_followed(
    acme: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: it was public when the webhook was made, and leads to us when it is sent."""
    from agentflare.outside import request

    with receiving() as inside:
        row, _ = endpoint(acme, "https://rebinding.test/hook")
        monkeypatch.setattr(
            request, "resolve", lambda *_, **__: [request.networks.parse("127.0.0.1")]
        )
        say(acme)
        deliver(acme.tenant)

        assert inside.got == []
    (delivery,) = rows(acme)
    assert "not on the public internet" in delivery.attempts[0]["error"]
    assert row.url == "https://rebinding.test/hook"


def test_the_address_that_was_checked_is_the_one_that_is_called(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look-up and the connection nothing is resolved again."""
    from agentflare.outside import request

    asked: list[str] = []
    called: list[Any] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [request.networks.parse("93.184.216.34")]

    def connect(address: Any, **_: Any) -> Any:
        called.append(address)
        raise OSError

    monkeypatch.setattr(request, "resolve", resolve)
    monkeypatch.setattr(request.socket, "create_connection", connect)
    attempt = sending.post(
        url="https://rebinding.test/", secrets=["whsec_c2VjcmV0"], event_id="msg_1", body=b"{}"
    )

    assert asked == ["rebinding.test"]
    assert called == [("93.184.216.34", 443)]
    assert not attempt.is_success


def test_a_redirect_is_a_failure_and_not_followed(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    with receiving() as inside:
        receiver.status, receiver.headers = 307, {"Location": inside.url}
        say(acme)
        deliver(acme.tenant)
        assert inside.got == []

    (row,) = rows(acme)
    assert row.state == State.PENDING
    assert "Redirects are not followed" in row.attempts[0]["error"]


def test_no_more_of_an_answer_is_read_than_its_beginning(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    receiver.answer = b"x" * 1_000_000 + b"\0"
    say(acme)
    deliver(acme.tenant)

    (row,) = rows(acme)
    assert row.state == State.DELIVERED
    assert len(row.attempts[0]["answer"]) == 1024


def test_nobody_there_is_told_in_words(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, "http://127.0.0.1:9/")
    say(acme)
    deliver(acme.tenant)

    assert "could not be reached" in rows(acme)[0].attempts[0]["error"]


def test_a_secret_of_another_deployment_is_no_crash(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    with tenant_schema(acme.code):
        WebhookEndpoint.objects.update(secret="nonsense")
    say(acme)
    deliver(acme.tenant)

    assert "cannot be read" in rows(acme)[0].attempts[0]["error"]


# --- what is told -------------------------------------------------------------------


def told(cast: Any) -> list[tuple[str, dict[str, Any]]]:
    """Oldest first."""
    return [(row.event, json.loads(row.body)["data"]) for row in reversed(rows(cast))]


def test_keys_that_come_and_go(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    row, key = create_api_key(tenant=acme.tenant, name="batch", actor=ACTOR)
    new, _ = rotate_api_key(tenant=acme.tenant, key_id=row.key_id, actor=ACTOR, overlap_s=0)
    for _ in range(2):
        revoke_api_key(tenant=acme.tenant, key_id=new.key_id, actor=ACTOR)

    assert [(event, data["prefix"]) for event, data in told(acme)] == [
        ("key.created", row.prefix),
        ("key.created", new.prefix),
        ("key.revoked", row.prefix),
        ("key.revoked", new.prefix),
    ]
    assert all(key not in delivery.body for delivery in rows(acme))


def test_a_suspension(acme: Any, receiver: Receiver) -> None:
    endpoint(acme, receiver.url)
    suspend_tenant(tenant=acme.tenant, reason="unpaid", actor="operator")

    assert told(acme) == [("workspace.suspended", {"reason": "unpaid"})]
