"""Banners above workspaces' pages: whom they are shown to, and when."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tenants.announcements.models import Announcement
from tenants.operators.models import OperatorAction
from tenants.registry.models import Plan
from tenants.users.tests.builders import operator_browser

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_else(_database: None) -> None:
    Announcement.objects.all().delete()


def page(cast: Any, user: Any = None) -> str:
    client = Client()
    client.force_login(user or cast.owner)
    return str(client.get(f"/t/{cast.tenant.slug}/").content.decode())


def test_what_an_operator_announces_stands_above_every_workspace(acme: Any, globex: Any) -> None:
    now = timezone.now()
    operator_browser().post(
        "/admin/announcements/announcement/add/",
        {
            "text": "We move on <b>Sunday</b>",
            "link": "https://status.test/",
            "level": "warning",
            "starts_at_0": now.strftime("%Y-%m-%d"),
            "starts_at_1": "00:00:00",
            "can_be_hidden": "on",
            "reason": "The move",
        },
    )
    for cast in (acme, globex):
        told = page(cast)
        assert "We move on &lt;b&gt;Sunday&lt;/b&gt;" in told
        assert "https://status.test/" in told
    assert OperatorAction.objects.order_by("-id")[0].action == "announcement.added"


@pytest.mark.parametrize(
    ("starts", "ends", "is_shown"),
    [(-HOUR, None, True), (-HOUR, HOUR, True), (HOUR, None, False), (-2 * HOUR, -HOUR, False)],
)
def test_it_is_shown_between_its_moments(
    acme: Any, starts: timedelta, ends: timedelta | None, is_shown: bool
) -> None:
    now = timezone.now()
    Announcement.objects.create(
        text="Of its time", starts_at=now + starts, ends_at=now + ends if ends else None
    )
    assert ("Of its time" in page(acme)) == is_shown


def test_one_for_a_plan_or_a_workspace_is_shown_there_alone(acme: Any, globex: Any) -> None:
    plan = Plan.objects.create(slug=f"p-{acme.code}", name="Large")
    acme.tenant.plan = plan
    acme.tenant.save()
    globex.tenant.plan = None
    globex.tenant.save()
    default = Plan.objects.get(is_default=True)
    Announcement.objects.create(text="For Large", plan=plan)
    Announcement.objects.create(text="For the default", plan=default)
    Announcement.objects.create(text="For Globex", tenant=globex.tenant)

    assert "For Large" in page(acme)
    assert "For the default" not in page(acme)
    assert "For Globex" not in page(acme)
    assert "For Large" not in page(globex)
    assert "For the default" in page(globex)
    assert "For Globex" in page(globex)


def test_whoever_has_read_it_hides_it_for_themselves(acme: Any, globex: Any) -> None:
    shown = Announcement.objects.create(text="Read me")
    fixed = Announcement.objects.create(text="Read me always", can_be_hidden=False)
    client = Client()
    client.force_login(acme.owner)
    at = f"/t/{acme.tenant.slug}/announcements"

    assert client.post(f"{at}/{shown.pk}/hide/").status_code == 302
    assert client.post(f"{at}/{fixed.pk}/hide/").status_code == 404
    assert client.post(f"{at}/999999/hide/").status_code == 404
    assert "Read me<" not in page(acme)
    assert "Read me always" in page(acme)
    assert "Read me<" in page(globex)


def test_what_cannot_be_is_told_beside_its_field(acme: Any) -> None:
    asked = {
        "text": "Backwards",
        "level": "info",
        "starts_at_0": "2026-12-02",
        "starts_at_1": "00:00",
        "ends_at_0": "2026-12-01",
        "ends_at_1": "00:00",
        "link": "javascript:alert(1)",
        "reason": "x",
    }
    answer = operator_browser().post("/admin/announcements/announcement/add/", asked)
    errors = answer.context["adminform"].form.errors
    assert set(errors) == {"ends_at", "link"}
    assert not Announcement.objects.exists()
