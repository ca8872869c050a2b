"""Telling those who used a model that it ends: each workspace once, whoever dies in between."""

from typing import Any

import pytest
from django.core import mail

from billing.business.models import TenantDay
from billing.payments import outgoing
from inference.catalog import notices
from inference.catalog.models import AIModel, ModelNotice, ModelNoticeReceipt
from inference.catalog.tests.test_status import MODEL, as_before, used  # noqa: F401
from tenants.members.tests.builders import member
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser, staff_browser

PAGE = f"/admin/catalogue/notice/{MODEL}/"


def told() -> dict[str, list[str]]:
    return {message.subject: message.to for message in mail.outbox}


def give(**fields: str) -> Any:
    form = {"subject": "It ends", "text": "Please move on.", "reason": "Cloudflare ends it"}
    return operator_browser().post(PAGE, {**form, **fields})


@pytest.fixture
def two_users(acme: Any, globex: Any) -> None:
    TenantDay.objects.filter(ai_model=MODEL).delete()
    ModelNotice.objects.all().delete()
    used(acme)


def test_owners_and_admins_of_those_who_used_it_get_one_mail_each(
    acme: Any, globex: Any, two_users: None, django_capture_on_commit_callbacks: Any
) -> None:
    admin, viewer = member(acme, "admin"), member(acme, "viewer")
    with django_capture_on_commit_callbacks(execute=True):
        assert give().status_code == 302
        assert notices.send_notices() == 1
        assert notices.send_notices() == 0

    addresses = sorted(to for message in mail.outbox for to in message.to)
    assert addresses == sorted([acme.owner.email, admin.email])
    assert viewer.email not in addresses
    assert "Please move on." in mail.outbox[0].body
    assert f"/t/{acme.tenant.slug}/models/{MODEL}/" in mail.outbox[0].body
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.reason) == ("aimodel.notice_given", "Cloudflare ends it")
    page = operator_browser().get(f"/admin/catalog/aimodel/{MODEL}/change/").content.decode()
    assert "1 workspace told" in page


def test_who_dies_in_the_middle_tells_nobody_twice(
    acme: Any, globex: Any, two_users: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(globex)
    give()
    real, calls = outgoing.owe, []

    def dies_at_the_second(*args: Any, **kwargs: Any) -> None:
        calls.append(args[0])
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    monkeypatch.setattr(notices, "owe", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        notices.send_notices()
    assert ModelNoticeReceipt.objects.count() == 1

    monkeypatch.setattr(notices, "owe", lambda *args, **kwargs: calls.append(args[0]))
    assert notices.send_notices() == 1
    assert ModelNoticeReceipt.objects.count() == 2
    assert sorted(calls[0] + calls[2]) == sorted([acme.owner.email, globex.owner.email])


def test_the_page_tells_whom_it_reaches_and_begins_with_a_draft(
    acme: Any, globex: Any, two_users: None
) -> None:
    AIModel.objects.filter(name=MODEL).update(
        status="draining", ends_on="2099-12-01", successor="llama-3.2-3b"
    )
    page = operator_browser().get(PAGE).content.decode()
    assert "1 workspace that called" in page
    assert "will be switched off on 2099-12-01" in page
    assert "Please use llama-3.2-3b instead." in page
    TenantDay.objects.filter(ai_model=MODEL).delete()
    assert "there is nobody to tell" in operator_browser().get(PAGE).content.decode()


@pytest.mark.parametrize("field", ["subject", "text", "reason"])
def test_nothing_is_sent_of_half_a_notice(acme: Any, two_users: None, field: str) -> None:
    assert give(**{field: "  "}).status_code == 200
    assert not ModelNotice.objects.exists()


def test_who_may_not_change_models_gives_no_notice(acme: Any) -> None:
    client = staff_browser("view_aimodel")
    assert client.get(PAGE).status_code == client.post(PAGE, {}).status_code == 403
