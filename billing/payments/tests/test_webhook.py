"""Stripe's events: kept first, then looked at, in any order, repeated and late."""

import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import stripe
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from billing import invariants
from billing.payments import events, webhook
from billing.payments.models import TopUp
from billing.payments.sync import sync_session
from billing.payments.tasks import look_at_events_task
from billing.payments.tests.shop import (
    USD,
    Shop,
    account,
    balances,
    event_text,
    process,
    references,
)
from billing.stripe import inbox
from billing.stripe.models import EventCursor, StripeEvent, StripeObject
from tenants.operators.models import OperatorAction
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser


def fresh(**fields: Any) -> str:
    return event_text(id=f"evt_{time.time_ns()}", **fields)


# --- The door ---------------------------------------------------------------------


def test_an_event_is_kept_and_answered_at_once(shop: Shop) -> None:
    text = fresh()

    response = shop.send(text)

    assert response.status_code == 200
    event = StripeEvent.objects.get(payload=text)
    assert event.state == StripeEvent.State.RECEIVED
    assert shop.control("GET", "calls")["calls"] == []


def test_a_repeat_is_answered_the_same_and_kept_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(webhook.process_event_task, "delay", started.append)
    text = fresh()

    assert [shop.send(text).status_code for _ in range(3)] == [200, 200, 200]

    assert StripeEvent.objects.filter(payload=text).count() == 1
    assert len(started) == 1


@pytest.mark.parametrize(
    "options", [{"secret": "whsec_of_another"}, {"at_s": int(time.time()) - 3600}]
)
def test_what_stripe_has_not_signed_just_now_is_refused(
    shop: Shop, options: dict[str, Any]
) -> None:
    text = fresh()

    assert shop.send(text, **options).status_code == 400
    assert not StripeEvent.objects.filter(payload=text).exists()


@pytest.mark.parametrize("header", [None, "", "t=1,v1=abc", "nonsense", "v1=", "t=x,v1=y"])
def test_a_broken_signature_is_refused(shop: Shop, header: str | None) -> None:
    headers = {} if header is None else {"Stripe-Signature": header}
    response = Client(enforce_csrf_checks=True).post(
        "/webhooks/stripe", fresh(), content_type="application/json", headers=headers
    )

    assert response.status_code == 400


@pytest.mark.parametrize(
    "payload",
    [
        "", "[]", "{}", '{"id": "evt_x"}', "\x00",
        event_text(id="evt_\0"), event_text(type="\0"), event_text(created=10**20),
    ],
)  # fmt: skip
def test_what_is_signed_and_no_event_is_refused(shop: Shop, payload: str) -> None:
    assert shop.send(payload).status_code == 400


def test_bytes_that_are_no_text_are_refused(shop: Shop) -> None:
    response = Client().post(
        "/webhooks/stripe",
        b"\xff\xfe",
        content_type="application/json",
        headers={"Stripe-Signature": "t=1,v1=a"},
    )

    assert response.status_code == 400


def test_nothing_is_taken_without_a_secret_and_by_get(shop: Shop, settings: Any) -> None:
    assert Client().get("/webhooks/stripe").status_code == 405
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert shop.send(fresh()).status_code == 503


def test_without_a_broker_it_is_kept_and_looked_at_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: int) -> None:
        raise BrokerError("no broker")

    monkeypatch.setattr(webhook.process_event_task, "delay", down)
    text = fresh()

    assert shop.send(text).status_code == 200

    event = StripeEvent.objects.get(payload=text)
    event.next_try_at = timezone.now()
    event.save()
    assert event.pk in list(inbox.due())


# --- What comes of it -------------------------------------------------------------


def test_events_credit_once_in_any_order_and_repeated(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)
    told = shop.events()

    shop.deliver(*told[::-1], *told, *told[::-1])

    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED
    assert balances(acme)["credit"] == 50 * USD
    assert len(references(acme, "top_up")) == 1


@pytest.mark.parametrize("type_", ["checkout.session.completed", "payment_intent.succeeded"])
def test_one_event_alone_suffices(acme: Any, shop: Shop, type_: str) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)

    shop.deliver(*shop.events(type_))

    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED
    assert shop.again(acme, top_up).invoice_url


def test_an_old_event_tells_of_the_present(acme: Any, shop: Shop) -> None:
    """What it says about the payment is not believed: Stripe is asked."""
    top_up = shop.order(acme)
    shop.pay(top_up, "4000 0000 0000 0002")
    failed = shop.events("payment_intent.payment_failed")
    shop.pay(top_up)
    shop.deliver(*shop.events("payment_intent.succeeded"))

    shop.deliver(*failed)

    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED


def test_what_was_never_paid_alarms_nobody(acme: Any, shop: Shop) -> None:
    shop.order(acme)
    customer = account(acme).customer_id
    made = shop.api.payment_intents.create(
        {"amount": 1000, "currency": "usd", "customer": customer}
    )
    shop.api.payment_intents.cancel(made.id)
    (canceled,) = shop.events("payment_intent.canceled")
    shop.send(canceled)

    assert process(canceled.id).state == StripeEvent.State.IGNORED


def test_what_is_not_ours_is_ignored(shop: Shop) -> None:
    shop.api.payment_intents.create(
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "return_url": "http://x.test"}
    )  # fmt: skip
    (event,) = shop.events("payment_intent.succeeded")
    shop.deliver(event, *shop.events("charge.succeeded"))

    states = {row.state for row in StripeEvent.objects.filter(event_id=event.id)}
    assert states == {StripeEvent.State.IGNORED}


def test_while_stripe_is_down_the_event_fails_visibly_and_is_tried_again(
    acme: Any, shop: Shop
) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)
    (told,) = shop.events("payment_intent.succeeded")
    shop.control("POST", "faults", kind="error", count=None, path="/v1/payment_intents")
    shop.deliver(told)

    event = StripeEvent.objects.get(event_id=told.id)
    assert (event.state, event.attempts) == (StripeEvent.State.FAILED, 1)
    assert "APIError" in event.error
    assert event.next_try_at is not None
    assert timedelta(0) < event.next_try_at - timezone.now() < timedelta(seconds=30)
    assert balances(acme)["credit"] == 25 * USD

    shop.control("DELETE", "faults")
    assert process(told.id).state == StripeEvent.State.PROCESSED
    assert balances(acme)["credit"] == 50 * USD


def test_after_many_failures_it_is_given_up_and_can_be_replayed(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)
    (told,) = shop.events("payment_intent.succeeded")
    shop.send(told)
    StripeEvent.objects.filter(event_id=told.id).update(attempts=10)
    shop.control("POST", "faults", kind="error", count=None, path="/v1/payment_intents")
    event = process(told.id)
    assert (event.state, event.next_try_at) == (StripeEvent.State.FAILED, None)

    shop.control("DELETE", "faults")
    inbox.replay(event)
    assert process(told.id).state == StripeEvent.State.PROCESSED
    assert balances(acme)["credit"] == 50 * USD


def test_what_was_lost_on_the_way_to_the_worker_is_started_again(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(
        "billing.payments.tasks.process_event_task.apply_async",
        lambda *_, kwargs=None, **__: started.append((kwargs or {}).get("event_pk", 0)),
    )
    text = fresh()
    shop.send(text)
    event = StripeEvent.objects.get(payload=text)
    look_at_events_task()
    assert event.pk not in started

    StripeEvent.objects.filter(pk=event.pk).update(next_try_at=timezone.now())
    look_at_events_task()
    assert event.pk in started


def test_events_that_never_came_are_fetched(acme: Any, shop: Shop) -> None:
    EventCursor.objects.all().delete()
    top_up = shop.order(acme)
    shop.pay(top_up)

    assert events.fetch_missed() == len(shop.events(*inbox.TYPES))
    assert events.fetch_missed() == 0

    (told,) = shop.events("payment_intent.succeeded")
    assert process(told.id).state == StripeEvent.State.PROCESSED
    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED


def test_a_list_is_read_piece_by_piece_and_gone_on_with(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = timezone.now() - timedelta(days=2)
    EventCursor.objects.update_or_create(pk=1, defaults={"seen_until": begun})
    shop.pay(shop.order(acme))
    pieces = []
    monkeypatch.setattr(events, "_fetch", lambda since, until: pieces.append((since, until)) or 0)
    with monkeypatch.context() as slow:
        slow.setattr(events, "_LONGEST_RUN_S", 0)
        events.fetch_missed()
    assert pieces == []

    events.fetch_missed()

    assert len(pieces) == 9
    assert pieces[0][0] < begun
    assert all(earlier[1] == later[0] for earlier, later in pairwise(pieces))
    assert EventCursor.objects.get().seen_until == pieces[-1][1] > begun


def test_a_list_that_breaks_off_is_read_again_from_where_it_began(acme: Any, shop: Shop) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    EventCursor.objects.update_or_create(pk=1, defaults={"seen_until": long_ago})
    shop.pay(shop.order(acme))
    shop.control("POST", "faults", kind="error", count=None, path="/v1/events")

    with pytest.raises(stripe.APIError):
        events.fetch_missed()

    assert EventCursor.objects.get().seen_until == long_ago


def test_what_was_done_long_ago_is_forgotten_and_failures_are_not(shop: Shop) -> None:
    texts = [fresh(), fresh(), fresh()]
    for text in texts:
        shop.send(text)
    done, failed, new = (StripeEvent.objects.get(payload=text) for text in texts)
    inbox.finish(done, tenant_code=None)
    inbox.fail(failed, "a reason", for_good=True)
    inbox.finish(new, tenant_code=None)
    long_ago = timezone.now() - timedelta(days=91)
    StripeEvent.objects.filter(pk__in=[done.pk, failed.pk]).update(received_at=long_ago)

    inbox.forget_old()

    left = StripeEvent.objects.filter(pk__in=[done.pk, failed.pk, new.pk])
    assert set(left.values_list("pk", flat=True)) == {failed.pk, new.pk}


# --- Payments that are not what was asked -----------------------------------------


def paid_by_hand(shop: Shop, cast: Any, **changes: Any) -> str:
    """A payment that claims to be for a top-up of this tenant's."""
    top_up = shop.order(cast)
    asked = {
        "amount": 2500,
        "currency": "usd",
        "customer": account(cast).customer_id,
        "payment_method": "pm_card_visa",
        "confirm": True,
        "return_url": "http://x.test",
        "metadata": {"tenant": cast.code, "top_up": str(top_up.pk)},
        **changes,
    }
    return str(shop.api.payment_intents.create(asked).id)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"amount": 2499}, "2499 cents, not 2500"), ({"currency": "eur"}, "eur, not usd")],
)
def test_another_amount_or_currency_is_not_credited_and_seen(
    acme: Any, shop: Shop, changes: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    intent = paid_by_hand(shop, acme, **changes)

    shop.deliver(*shop.events("payment_intent.succeeded"))

    with tenant_schema(acme.code):
        top_up = TopUp.objects.get()
    assert top_up.status == TopUp.Status.MISMATCH
    assert words in top_up.failure
    assert intent in top_up.failure
    assert balances(acme)["credit"] == 25 * USD
    assert "every payment is what was asked for" in "".join(invariants.check_ledger(acme.tenant))
    event = StripeEvent.objects.filter(type="payment_intent.succeeded").first()
    assert event is not None
    assert event.state == StripeEvent.State.FAILED
    assert event.next_try_at is None
    assert "ALARM" in caplog.text


def test_what_was_paid_by_mistake_is_over_once_it_is_paid_back(acme: Any, shop: Shop) -> None:
    intent = paid_by_hand(shop, acme, amount=2499)
    shop.deliver(*shop.events("payment_intent.succeeded"))
    event = StripeEvent.objects.get(event_id=shop.events("payment_intent.succeeded")[0].id)
    shop.api.refunds.create({"payment_intent": intent})

    shop.deliver(*shop.events("charge.refunded"))
    inbox.replay(event)

    assert process(event.event_id).state == StripeEvent.State.PROCESSED
    with tenant_schema(acme.code):
        top_up = TopUp.objects.get()
    assert top_up.status == TopUp.Status.FAILED
    assert "paid back" in top_up.failure
    assert list(invariants.check_ledger(acme.tenant)) == []
    assert balances(acme)["credit"] == 25 * USD
    # And its own payment would still be credited.
    shop.pay(top_up)
    sync_session(top_up.session_id)
    assert balances(acme)["credit"] == 50 * USD


def test_a_payment_of_another_tenants_customer_is_credited_to_nobody(
    acme: Any, globex: Any, shop: Shop
) -> None:
    shop.order(globex)
    intent = paid_by_hand(shop, acme, customer=account(globex).customer_id)

    shop.deliver(*shop.events("payment_intent.succeeded"))

    event = StripeEvent.objects.filter(type="payment_intent.succeeded").first()
    assert event is not None
    assert event.state == StripeEvent.State.FAILED
    assert intent in event.error
    assert balances(acme)["credit"] == balances(globex)["credit"] == 25 * USD


def test_a_second_payment_for_one_top_up_is_not_credited(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    shop.api.payment_intents.create(
        {
            "amount": 2500, "currency": "usd", "customer": account(acme).customer_id,
            "payment_method": "pm_card_visa", "confirm": True, "return_url": "http://x.test",
            "metadata": {"tenant": acme.code, "top_up": str(top_up.pk)},
        }
    )  # fmt: skip

    shop.deliver_all()

    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED
    assert balances(acme)["credit"] == 50 * USD
    assert StripeEvent.objects.filter(
        state=StripeEvent.State.FAILED, error__contains=str(top_up.payment_intent_id)
    ).exists()


def test_a_top_up_that_is_not_there_is_not_credited(acme: Any, globex: Any, shop: Shop) -> None:
    theirs = shop.order(globex)
    shop.order(acme)
    intent = paid_by_hand(shop, acme, metadata={"tenant": acme.code, "top_up": str(theirs.pk)})

    shop.deliver(*shop.events("payment_intent.succeeded"))

    assert not StripeObject.objects.filter(object_id=intent).exists()
    assert balances(acme)["credit"] == balances(globex)["credit"] == 25 * USD


# --- The operator -----------------------------------------------------------------


def test_an_operator_sees_failures_and_has_them_looked_at_again(acme: Any, shop: Shop) -> None:
    shop.send(fresh())
    event = StripeEvent.objects.latest("id")
    event.attempts = 1
    inbox.fail(event, "a reason", for_good=True)
    client = operator_browser()

    page = client.get("/admin/stripe/stripeevent/?state=failed").content.decode()
    assert event.event_id in page
    assert "a reason" in page
    assert client.get(f"/admin/stripe/stripeevent/{event.pk}/change/").status_code == 200
    replay = f"/admin/stripe/stripeevent/{event.pk}/replay/"
    assert "Reason: say why." in client.post(replay, follow=True).content.decode()
    event.refresh_from_db()
    assert event.state == StripeEvent.State.FAILED
    client.post(replay, {"reason": "It was mended"})

    event.refresh_from_db()
    assert (event.state, event.attempts) == (StripeEvent.State.RECEIVED, 0)
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.subject) == ("stripe_event.replayed", event.event_id)
    assert (action.reason, action.detail["error"]) == ("It was mended", "a reason")

    inbox.fail(event, "another", for_good=True)
    page = client.post(
        "/admin/stripe/stripeevent/replay-failed/", {"reason": "All of them"}, follow=True
    ).content.decode()
    assert "looked at again within ten seconds" in page
    event.refresh_from_db()
    assert event.state == StripeEvent.State.RECEIVED
