"""The pages of webhooks."""

import time
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest

from agentflare import throttle
from tenants.members.tests.builders import audit_of, member, signed_in, text
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.webhooks.delivery import deliver
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.webhooks.tests.receiver import receiving

MAY = {Role.OWNER, Role.ADMIN}


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.SANDBOX = True
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]


def url(cast: Any, path: str = "") -> str:
    return f"/t/{cast.tenant.slug}/settings/webhooks/{path}"


def make(cast: Any, target: str = "http://127.0.0.1:9/", **fields: Any) -> Any:
    data = {"url": target, "name": "mine", "events": ["balance.low"], **fields}
    return signed_in(cast.owner).post(url(cast, "new/"), data)


def only(cast: Any) -> WebhookEndpoint:
    with tenant_schema(cast.code):
        return WebhookEndpoint.objects.get()


def test_the_secret_is_shown_once(acme: Any) -> None:
    made = make(acme)
    row = only(acme)
    later = signed_in(acme.owner).get(url(acme, f"{row.pk}/"))

    assert "whsec_" in text(made)
    assert "no-store" in made["Cache-Control"]
    assert "whsec_" not in text(later)
    assert audit_of(acme)[0].action == "webhook.created"
    assert all("whsec_" not in str(event.detail) for event in audit_of(acme))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "https://10.0.0.1/"}, "not on the public internet"),
        ({"url": ""}, "Where should events go"),
        ({"events": []}, "at least one event"),
        ({"events": ["nonsense"]}, "not one of the available choices"),
        ({"name": "x" * 61}, "at most 60"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    acme: Any, fields: dict[str, Any], why: str
) -> None:
    answer = make(acme, **{"target": fields.pop("url", "http://127.0.0.1:9/"), **fields})

    assert answer.status_code == 422
    assert why in text(answer)
    with tenant_schema(acme.code):
        assert not WebhookEndpoint.objects.exists()


def test_there_are_at_most_ten(acme: Any) -> None:
    answers = [make(acme) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [422]
    assert "at most 10" in text(answers[-1])


def test_a_test_is_sent_and_logged_with_its_answer(acme: Any) -> None:
    client = signed_in(acme.owner)
    with receiving() as server:
        server.answer = b"<script>alert(1)</script>"
        make(acme, server.url)
        row = only(acme)
        page = client.post(url(acme, f"{row.pk}/ping/"), follow=True)
        assert "On its way" in text(page)
        assert "every 2s" in text(page)
        deliver(acme.tenant)

    log = client.get(url(acme, f"{row.pk}/log/"))
    assert "Delivered" in text(log)
    assert "every 2s" not in text(log)
    with tenant_schema(acme.code):
        delivery = WebhookDelivery.objects.get()
    detail = text(client.get(url(acme, f"{row.pk}/{delivery.pk}/")))
    assert delivery.event_id in detail
    assert "&lt;script&gt;alert(1)" in detail
    client.post(url(acme, f"{row.pk}/{delivery.pk}/again/"))
    assert "Tried" not in text(client.get(url(acme, f"{row.pk}/log/")))


def test_nobody_knocks_at_a_server_by_pressing_a_button(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All within one window.
    now = time.time()
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: now))
    client = signed_in(acme.owner)
    make(acme)
    row = only(acme)

    pages = [client.post(url(acme, f"{row.pk}/ping/"), follow=True) for _ in range(21)]

    assert "A test is on its way" in text(pages[19])
    assert "At most 20" in text(pages[20])
    with tenant_schema(acme.code):
        assert WebhookDelivery.objects.count() == 20
        last = WebhookDelivery.objects.latest("pk")
        WebhookDelivery.objects.update(state=WebhookDelivery.State.FAILED)
    again = client.post(url(acme, f"{row.pk}/{last.pk}/again/"), follow=True)
    assert "At most 20" in text(again)
    with tenant_schema(acme.code):
        assert not WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING).exists()


def test_it_is_changed_switched_off_and_removed(acme: Any) -> None:
    client = signed_in(acme.owner)
    make(acme)
    row = only(acme)
    client.post(
        url(acme, f"{row.pk}/change/"),
        {"url": "http://127.0.0.1:9/new", "name": "", "events": ["key.revoked"]},
    )
    changed = only(acme)
    refused = client.post(url(acme, f"{row.pk}/ping/"), follow=True)
    client.post(url(acme, f"{row.pk}/remove/"))

    assert (changed.url, changed.events, changed.is_enabled) == (
        "http://127.0.0.1:9/new",
        ["key.revoked"],
        False,
    )
    assert "switch it on first" in text(refused)
    with tenant_schema(acme.code):
        assert not WebhookEndpoint.objects.exists()
    assert [event.action for event in audit_of(acme)[:2]] == ["webhook.removed", "webhook.changed"]


@pytest.mark.parametrize("role", Role)
def test_who_may(acme: Any, role: Role) -> None:
    make(acme)
    row, client = only(acme), signed_in(member(acme, role, "somebody"))

    expected = 200 if role in MAY else 403
    for path in ("", "new/", f"{row.pk}/", f"{row.pk}/log/", f"{row.pk}/change/"):
        assert client.get(url(acme, path)).status_code == expected, path
    for path in (f"{row.pk}/ping/", f"{row.pk}/rotate/", f"{row.pk}/remove/"):
        status = client.post(url(acme, path)).status_code
        assert (status == 403) == (role not in MAY), path


def test_another_workspace_is_not_reached(acme: Any, globex: Any) -> None:
    make(acme)
    row, stranger = only(acme), signed_in(globex.owner)
    with tenant_schema(acme.code):
        delivery = WebhookDelivery.objects.create(
            endpoint=row, event_id="msg_1", event="ping", body="{}"
        )
    one = f"{row.pk}/"
    # Ids are counted for each tenant: one that globex does not have.
    for cast, here in ((acme, one), (globex, f"{row.pk + 1000}/")):
        for path in (here, f"{here}log/", f"{here}change/", f"{here}{delivery.pk}/"):
            assert stranger.get(url(cast, path)).status_code == 404, path
        for path in ("ping/", "rotate/", "remove/", f"{delivery.pk}/again/"):
            assert stranger.post(url(cast, here + path)).status_code == 404, path
    assert stranger.get(url(acme)).status_code == 404
    assert stranger.post(url(acme, "new/")).status_code == 404
    assert only(acme).pk == row.pk


def test_a_delivery_is_found_below_its_own_webhook_alone(acme: Any) -> None:
    make(acme)
    make(acme)
    client = signed_in(acme.owner)
    with tenant_schema(acme.code):
        first, second = WebhookEndpoint.objects.all()
        delivery = WebhookDelivery.objects.create(
            endpoint=first, event_id="msg_1", event="ping", body="{}"
        )

    assert client.get(url(acme, f"{first.pk}/{delivery.pk}/")).status_code == 200
    assert client.get(url(acme, f"{second.pk}/{delivery.pk}/")).status_code == 404
    assert client.post(url(acme, f"{second.pk}/{delivery.pk}/again/")).status_code == 404
