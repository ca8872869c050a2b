"""A person makes a workspace."""

import re
import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from billing.admission.services import books
from billing.onboarding import views
from billing.onboarding.models import TrialGrant
from billing.onboarding.tests.builders import (
    USD,
    a_user,
    browser_of,
    ledger_of,
    make,
    new_slug,
    open_one,
)
from tenants.audit.models import AuditEvent
from tenants.registry.models import Plan, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import TenantExistsError
from tenants.registry.slugs import RESERVED, SLUG, complaint_about, propose_slug
from tenants.users.models import Membership, Role, User


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True
    settings.TRIAL_CREDIT_NUSD = USD


def test_a_person_names_a_workspace_and_owns_it_with_credit() -> None:
    user, slug = a_user(), new_slug()

    answer = make(browser_of(user), slug)

    assert answer.headers["Location"] == f"/t/{slug}/quickstart/"
    tenant = Tenant.objects.get(slug=slug)
    assert tenant.name == "The Shop"
    assert Membership.objects.get(tenant=tenant).role == Role.OWNER
    assert ledger_of(tenant) == {"credit": USD, "promotion": -USD}
    assert books(tenant).available == USD
    with tenant_schema(tenant.code):
        assert AuditEvent.objects.get(action="tenant.created").actor == user.email


def test_who_has_no_workspace_lands_where_one_is_made() -> None:
    assert browser_of(a_user()).get("/").headers["Location"] == "/new/"


def test_the_trial_plan_is_taken_where_there_is_one(settings: Any) -> None:
    plan = Plan.objects.create(slug=f"trial-{uuid4().hex[:8]}", name="Trial", requests_per_minute=5)
    settings.TRIAL_PLAN = plan.slug

    assert open_one(a_user()).limits.requests_per_minute == 5
    settings.TRIAL_PLAN = "no-such-plan"
    assert open_one(a_user()).plan is None


@pytest.mark.parametrize(
    ("slug", "complaint"),
    [
        ("admin", "kept for ourselves"),
        ("a b", "Use small letters"),
        ("-x-", "Use small letters"),
        ("ab", "at least 3"),
        ("", "required"),
        ("../etc", "Use small letters"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused_beside_its_field(
    slug: str, complaint: str
) -> None:
    before = Tenant.objects.count()

    page = make(browser_of(a_user()), slug)

    assert complaint in str(page.context["form"].errors["slug"])
    assert Tenant.objects.count() == before


def test_an_address_of_another_workspace_is_refused(acme: Any) -> None:
    user = a_user()

    page = make(browser_of(user), acme.tenant.slug)

    assert "Somebody has this address" in str(page.context["form"].errors["slug"])
    assert not user.memberships.exists()
    assert not TrialGrant.objects.filter(user=user).exists()


def test_several_people_race_for_one_address_and_one_gets_it() -> None:
    slug, people = new_slug(), [a_user() for _ in range(4)]
    start = threading.Barrier(len(people))
    outcomes: list[str] = []

    def race(user: User) -> None:
        start.wait()
        try:
            open_one(user, slug)
            outcomes.append("made")
        except TenantExistsError:
            outcomes.append("taken")
        connection.close()

    threads = [threading.Thread(target=race, args=[user]) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["made", "taken", "taken", "taken"]
    assert Membership.objects.filter(tenant__slug=slug).count() == 1
    assert TrialGrant.objects.filter(user__in=people).count() == 1


def test_a_form_sent_twice_makes_one_workspace() -> None:
    user, slug = a_user(), new_slug()
    client = browser_of(user)

    answers = [make(client, slug), make(client, slug)]

    assert {answer.headers["Location"] for answer in answers} == {f"/t/{slug}/quickstart/"}
    assert user.memberships.count() == 1


def test_nobody_owns_more_than_the_operator_allows(settings: Any) -> None:
    settings.WORKSPACES_PER_PERSON = 2
    user = a_user()
    client = browser_of(user)
    for _ in range(2):
        assert make(client, new_slug()).status_code == 302

    answer = make(client, new_slug())

    assert answer.status_code == 403
    assert "A person can own 2 workspaces" in answer.content.decode()
    assert user.memberships.count() == 2


def test_who_hands_over_what_they_make_makes_no_more_than_some_in_a_day(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_A_DAY", 2)
    user = a_user()
    client, slugs = browser_of(user), [new_slug() for _ in range(3)]

    for slug in slugs:
        answer = make(client, slug)
        Membership.objects.filter(user=user).update(role=Role.ADMIN)

    assert answer.status_code == 200
    assert "At most 2 workspaces in a day" in answer.content.decode()
    assert Tenant.objects.filter(slug__in=slugs).count() == 2


def test_a_name_is_one_line_that_can_be_read() -> None:
    client, slug = browser_of(a_user()), new_slug()

    refused = make(client, slug, "Bank\u202eknab")
    make(client, slug, "The\nShop")

    assert "turn the others round" in refused.content.decode()
    assert Tenant.objects.get(slug=slug).name == "The Shop"


def test_many_requests_at_once_find_no_more_room_than_there_is(settings: Any) -> None:
    settings.WORKSPACES_PER_PERSON = 1
    user = a_user()
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        make(browser_of(user), new_slug())
        connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert user.memberships.count() == 1


def test_where_sign_up_is_closed_people_make_no_workspaces(settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    user = a_user()

    answer = make(browser_of(user), new_slug())

    assert answer.status_code == 403
    assert "Workspaces are made for you" in answer.content.decode()
    assert not user.memberships.exists()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Zoë & Sons, Ltd.", "zoe-sons-ltd"),
        ("ACME", "acme"),
        ("  ", ""),
        ("東京", ""),
        ("x" * 60, "x" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_an_address_is_proposed_from_the_name(name: str, slug: str) -> None:
    assert propose_slug(name) == slug


def test_the_proposal_is_one_that_can_be_had(acme: Any) -> None:
    client = browser_of(a_user())

    def proposal(name: str, **fields: str) -> str:
        query = {"propose": "1", "name": name, "slug": "", "proposed": "", **fields}
        page = client.get("/new/address/", query).content.decode()
        found = re.search(r'data-proposal="([^"]*)"', page)
        return found[1] if found else ""

    assert proposal(acme.tenant.slug) == f"{acme.tenant.slug}-2"
    assert proposal("Admin") == "admin-2"
    assert proposal("<script>") == "script"


def test_a_proposal_never_replaces_what_the_person_wrote() -> None:
    query = {"propose": "1", "name": "Shop", "slug": "my-own", "proposed": "shop"}

    assert browser_of(a_user()).get("/new/address/", query).status_code == 204


def test_the_address_is_checked_while_it_is_typed(acme: Any) -> None:
    client = browser_of(a_user())

    def word_on(slug: str) -> str:
        return client.get("/new/address/", {"slug": slug}).content.decode()

    assert "Somebody has this address" in word_on(acme.tenant.slug)
    assert "kept for ourselves" in word_on("Admin")
    assert "is free" in word_on(new_slug())
    assert "<b>" not in word_on("<b>")


def test_every_reserved_address_is_one_that_could_be_chosen_otherwise() -> None:
    assert all(SLUG.fullmatch(word) and complaint_about(word) for word in RESERVED)
