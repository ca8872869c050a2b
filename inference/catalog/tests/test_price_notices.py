"""Telling tenants that what they used becomes dearer: those alone, each once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing.payments import outgoing
from billing.prices.models import Markup
from billing.prices.services import set_markup
from inference.catalog import price_notices
from inference.catalog.models import PriceNotice
from inference.catalog.price_notices import send_price_notices
from inference.catalog.tests.test_prices import (  # noqa: F401
    MODEL,
    as_before,
    put,
    used,
)
from tenants.members.tests.builders import member
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser
from tenants.workspaces.models import Closure

LATER = timezone.now() + timedelta(days=14)
# As the admin's form has it.
AT = {"starts_at_0": f"{LATER:%Y-%m-%d}", "starts_at_1": f"{LATER:%H:%M:%S}"}


@pytest.fixture(autouse=True)
def none_owed(_database: None) -> None:
    PriceNotice.objects.all().delete()


@pytest.fixture
def staff(_database: None) -> Client:
    return operator_browser()


def raise_price(client: Client, **fields: Any) -> Any:
    answer = put(client, **{"_tell": "1", "percent": "80", **AT, **fields})
    assert answer.status_code == 302
    return Markup.objects.latest("id")


def send(run: Any) -> list[Any]:
    mail.outbox.clear()
    with run(execute=True):
        send_price_notices()
    return list(mail.outbox)


@pytest.fixture
def acme_used_it(acme: Any, globex: Any) -> None:
    used(acme.code, revenue=1_200_000_000, cost=1_000_000_000)


def test_who_used_it_is_told_what_it_was_what_it_becomes_and_what_that_makes(
    acme: Any,
    globex: Any,
    acme_used_it: None,
    staff: Client,
    django_capture_on_commit_callbacks: Any,
) -> None:
    admin, viewer = member(acme, "admin"), member(acme, "viewer")
    raise_price(staff)
    told = send(django_capture_on_commit_callbacks)

    assert sorted(to for each in told for to in each.to) == sorted([acme.owner.email, admin.email])
    text = told[0].body
    assert f"From {LATER:%Y-%m-%d %H:%M} UTC on" in text
    assert text.count("per million") == 4
    assert "would have cost $1.80 instead of $1.20" in text
    assert f"/t/{acme.tenant.slug}/models/" in text
    assert viewer.email not in text
    action = OperatorAction.objects.get(action="markup.notice_given", detail__tenants=[acme.code])
    assert action.reason == "A test"
    assert "1 tenant told by mail" in staff.get("/admin/prices/").content.decode()
    assert send(django_capture_on_commit_callbacks) == []


def test_where_it_becomes_cheaper_nobody_is_told(
    acme: Any, acme_used_it: None, staff: Client
) -> None:
    raise_price(staff, percent="5")
    assert not PriceNotice.objects.exists()


def test_who_did_not_use_it_is_not_told(
    acme: Any, globex: Any, acme_used_it: None, staff: Client
) -> None:
    raise_price(staff, tenant_code=globex.code)
    assert not PriceNotice.objects.exists()


def test_nobody_is_told_where_the_operator_does_not_want_it(
    acme: Any, acme_used_it: None, staff: Client
) -> None:
    assert put(staff, percent="80", **AT).status_code == 302
    assert not PriceNotice.objects.exists()


def test_a_tenant_with_a_markup_of_its_own_is_not_told_of_everybodys(
    acme: Any, globex: Any, acme_used_it: None, staff: Client
) -> None:
    used(globex.code, revenue=1_200, cost=1_000)
    set_markup(percent=Decimal(20), tenant_code=acme.code)
    raise_price(staff, ai_model="")
    codes = set(PriceNotice.objects.values_list("tenant_code", flat=True))
    assert {acme.code, globex.code} & codes == {globex.code}


def test_what_was_set_before_is_not_told_again(
    acme: Any, acme_used_it: None, staff: Client
) -> None:
    """The prices that would hold then without it, not those of today."""
    set_markup(percent=Decimal(50), ai_model=MODEL, starts_at=LATER - timedelta(days=1))
    raise_price(staff, percent="60")
    (notice,) = PriceNotice.objects.all()
    assert "would have cost $1.60 instead of $1.50" in notice.text
    raise_price(staff, percent="55", starts_at_1="23:59:59")
    assert PriceNotice.objects.count() == 1


def test_a_preview_tells_nobody_and_offers_to_tell_those_alone(
    acme: Any, acme_used_it: None, staff: Client
) -> None:
    page = put(staff, is_meant=False, percent="80", _tell="1").content.decode()
    assert "owners and admins of the 1 tenant for whom" in page
    assert page.count('name="_tell"') == 1
    cheaper = put(staff, is_meant=False, percent="5").content.decode()
    assert 'name="_tell"' not in cheaper
    assert not PriceNotice.objects.exists()


def test_withdrawn_before_it_was_sent_nobody_is_told(
    acme: Any, acme_used_it: None, staff: Client, django_capture_on_commit_callbacks: Any
) -> None:
    row = raise_price(staff)
    staff.post(f"/admin/prices/withdraw/markup/{row.pk}/", {"reason": "No"})
    assert send(django_capture_on_commit_callbacks) == []


def test_withdrawn_afterwards_who_was_told_is_told_that_once(
    acme: Any, acme_used_it: None, staff: Client, django_capture_on_commit_callbacks: Any
) -> None:
    row = raise_price(staff)
    send(django_capture_on_commit_callbacks)
    for _ in range(2):
        staff.post(f"/admin/prices/withdraw/markup/{row.pk}/", {"reason": "No"})
    (told,) = send(django_capture_on_commit_callbacks)
    assert told.to == [acme.owner.email]
    assert "will not rise after all" in told.subject
    assert f"{LATER:%Y-%m-%d %H:%M} UTC" in told.body
    assert send(django_capture_on_commit_callbacks) == []


def test_a_closed_workspace_is_told_nothing(
    acme: Any,
    globex: Any,
    acme_used_it: None,
    staff: Client,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """Closed before it was set, or before it was sent."""
    used(globex.code, revenue=1_200, cost=1_000)
    Closure.objects.create(tenant=globex.tenant)
    raise_price(staff)
    assert [each.tenant_code for each in PriceNotice.objects.all()] == [acme.code]
    Closure.objects.create(tenant=acme.tenant)
    assert send(django_capture_on_commit_callbacks) == []
    assert not PriceNotice.objects.filter(sent_at=None).exists()


def test_who_dies_in_the_middle_tells_nobody_twice_and_nobody_never(
    acme: Any, globex: Any, acme_used_it: None, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(globex.code, revenue=1_200, cost=1_000)
    raise_price(staff)
    real, told = outgoing.owe, list[Any]()

    def dies_at_the_second(addresses: Any, **kwargs: Any) -> None:
        if told:
            raise KeyboardInterrupt
        told.extend(addresses)
        real(addresses, **kwargs)

    monkeypatch.setattr(price_notices, "owe", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        send_price_notices()
    monkeypatch.setattr(price_notices, "owe", lambda addresses, **_: told.extend(addresses))
    assert send_price_notices() == 1
    assert sorted(told) == sorted([acme.owner.email, globex.owner.email])


def test_many_workers_at_once_tell_each_once(
    acme: Any, acme_used_it: None, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_price(staff)
    told: list[Any] = []
    monkeypatch.setattr(price_notices, "owe", lambda addresses, **_: told.extend(addresses))

    def work(_: int) -> int:
        try:
            return send_price_notices()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 1
    assert told == [acme.owner.email]


def test_the_command_tells_too(acme: Any, acme_used_it: None) -> None:
    out = StringIO()
    args = ["set", "70", "--model", MODEL, "--reason", "Cloudflare's rise", "--tell"]
    call_command("markup", *args, "--start", LATER.isoformat(), stdout=out)
    assert "pay more and are told: 1" in out.getvalue()
    (notice,) = PriceNotice.objects.all()
    assert notice.tenant_code == acme.code
    call_command("markup", "withdraw", notice.about.split()[1], "--reason", "No", stdout=out)
    assert not PriceNotice.objects.exists()


def test_it_is_told_rightly_of_todays_use_where_it_starts_at_once(acme: Any, staff: Client) -> None:
    used(acme.code, revenue=1_200_000_000, cost=1_000_000_000, days_ago=0)
    raise_price(staff, starts_at_0="", starts_at_1="")
    (notice,) = PriceNotice.objects.all()
    assert "would have cost $1.80 instead of $1.20" in notice.text
