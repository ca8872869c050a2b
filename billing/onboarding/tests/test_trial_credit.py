"""Trial credit: once for a person."""

from typing import Any
from uuid import uuid4

import pytest
from redis import exceptions

from billing.admission.services import books
from billing.ledger.models import JournalEntry
from billing.onboarding import services
from billing.onboarding.models import TrialGrant
from billing.onboarding.selectors import mailbox_of
from billing.onboarding.services import keep_promise
from billing.onboarding.tests.builders import USD, a_user, browser_of, ledger_of, new_slug, open_one
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.users.services import add_member


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True
    settings.TRIAL_CREDIT_NUSD = USD


def test_a_second_workspace_gets_no_second_credit() -> None:
    user = a_user()
    first, second = open_one(user), open_one(user)

    assert ledger_of(first)["credit"] == USD
    assert ledger_of(second) == {}


def test_one_mailbox_gets_it_once_however_it_is_spelt() -> None:
    name = uuid4().hex[:8]
    first = open_one(a_user(f"{name}@gmail.com"))
    others = [f"{name}+2@gmail.com", f"{name[:3]}.{name[3:]}@googlemail.com"]

    assert ledger_of(first)["credit"] == USD
    assert [ledger_of(open_one(a_user(email))) for email in others] == [{}, {}]
    assert mailbox_of("A.b+c@x.test") == "a.b@x.test"


def test_who_deletes_the_account_and_comes_back_gets_it_no_second_time() -> None:
    email = f"again-{uuid4().hex[:8]}@people.test"
    user = a_user(email)
    open_one(user)
    user.delete()

    assert ledger_of(open_one(a_user(email))) == {}


def test_joining_a_workspace_takes_nothing_from_ones_own(acme: Any) -> None:
    user = a_user()
    add_member(tenant=acme.tenant, email=user.email, role=Role.DEVELOPER)

    assert ledger_of(open_one(user))["credit"] == USD


def test_without_the_operators_setting_there_is_none(settings: Any) -> None:
    settings.TRIAL_CREDIT_NUSD = 0
    user = a_user()

    assert ledger_of(open_one(user)) == {}
    assert not TrialGrant.objects.filter(user=user).exists()


def test_credit_promised_before_a_crash_is_booked_by_the_next_page_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, slug = a_user(), new_slug()

    def crash(promise: TrialGrant) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(services, "keep_promise", crash)
        with pytest.raises(RuntimeError):
            open_one(user, slug)
    tenant = Tenant.objects.get(slug=slug)
    assert ledger_of(tenant) == {}

    for _ in range(2):
        assert browser_of(user).get(f"/t/{slug}/quickstart/").status_code == 200

    assert ledger_of(tenant)["credit"] == USD


def test_a_promise_kept_twice_at_once_is_booked_once() -> None:
    tenant = open_one(a_user())
    promise = TrialGrant.objects.get(tenant=tenant)
    promise.booked_at = None

    keep_promise(promise)

    assert ledger_of(tenant)["credit"] == USD
    with tenant_schema(tenant.code):
        assert JournalEntry.objects.count() == 1


def test_while_redis_is_down_the_workspace_is_made_and_the_credit_is_in_its_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise exceptions.ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("tenants.registry.status.publish", down)
        patch.setattr("billing.admission.gate.sync", down)
        tenant = open_one(a_user())

    assert ledger_of(tenant)["credit"] == USD
    assert books(tenant).available == USD
