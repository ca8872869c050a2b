"""The first key, and the first call."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.onboarding.tests.builders import (
    USD,
    a_user,
    browser_of,
    make,
    new_slug,
)
from billing.settlement.services import settle_partition
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.users.services import add_member

KEY = re.compile(r"oi_[0-9A-Za-z]{40,}")


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True
    settings.TRIAL_CREDIT_NUSD = USD


def test_the_first_key_is_shown_once_in_the_code_and_never_again(settings: Any) -> None:
    user, slug = a_user(), new_slug()
    client = browser_of(user)
    make(client, slug)
    waiting = client.get(f"/t/{slug}/quickstart/").content.decode()
    assert f'hx-post="/t/{slug}/quickstart/key/" hx-trigger="load"' in waiting

    page = client.post(f"/t/{slug}/quickstart/key/", HTTP_HX_REQUEST="true").content.decode()

    [key] = set(KEY.findall(page))
    assert page.count(key) == 4  # by itself, curl, Python, JavaScript
    assert f"{settings.AGENTFLARE_URL}/v1" in page
    assert client.get("/v1/models", HTTP_AUTHORIZATION=f"Bearer {key}").status_code == 200
    for _ in range(2):
        later = client.get(f"/t/{slug}/quickstart/")
        assert KEY.search(later.content.decode()) is None
        assert "no-store" in later.headers["Cache-Control"]
        assert "$AGENTFLARE_API_KEY" in later.content.decode()
    again = client.post(f"/t/{slug}/quickstart/key/", HTTP_HX_REQUEST="true")
    assert again.headers["HX-Redirect"] == f"/t/{slug}/quickstart/"
    with tenant_schema(Tenant.objects.get(slug=slug).code):
        assert ApiKey.objects.count() == 1


def test_without_scripts_a_button_makes_the_key() -> None:
    user, slug = a_user(), new_slug()
    client = browser_of(user)
    make(client, slug)

    page = client.post(f"/t/{slug}/quickstart/key/").content.decode()

    assert KEY.search(page)
    assert "Waiting for the call" in page


def test_a_mere_visit_makes_no_key(acme: Any) -> None:
    with tenant_schema(acme.code):
        ApiKey.objects.all().delete()

    page = browser_of(acme.owner).get(f"/t/{acme.tenant.slug}/quickstart/").content.decode()

    assert "Create the first key" in page
    assert 'hx-trigger="load"' not in page


@pytest.mark.parametrize("role", list(Role))
def test_each_role_sees_the_quickstart_and_some_make_its_key(acme: Any, role: Role) -> None:
    with tenant_schema(acme.code):
        ApiKey.objects.all().delete()
    user = add_member(tenant=acme.tenant, email=f"{role}-{acme.tenant.slug}@x.test", role=role)
    client = browser_of(user)
    page = f"/t/{acme.tenant.slug}/quickstart/"

    assert client.get(page).status_code == 200
    assert client.get(f"{page}call/").status_code == 200
    made = client.post(f"{page}key/").status_code
    assert made == (200 if role in (Role.OWNER, Role.ADMIN, Role.DEVELOPER) else 403)


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("post", "key/"), ("get", "call/")])
def test_for_another_tenants_owner_nothing_of_it_is_there(
    acme: Any, globex: Any, method: str, path: str
) -> None:
    answer = getattr(browser_of(globex.owner), method)(f"/t/{acme.tenant.slug}/quickstart/{path}")

    assert answer.status_code == 404


def test_the_snippets_have_the_address_in_every_language(acme: Any, settings: Any) -> None:
    settings.AGENTFLARE_URL = "https://ai.example.com"
    page = browser_of(acme.owner).get(f"/t/{acme.tenant.slug}/quickstart/").content.decode()

    assert "curl https://ai.example.com/v1/chat/completions" in page
    assert 'base_url="https://ai.example.com/v1"' in page
    assert 'baseURL: "https://ai.example.com/v1"' in page


def test_a_call_that_was_refused_is_told_with_what_to_do(acme: Any) -> None:
    before = timezone.now()
    body = {"model": "gpt-nonsense", "messages": [{"role": "user", "content": "Hello"}]}
    client = Client(HTTP_AUTHORIZATION=f"Bearer {acme.key}")
    answer = client.post("/v1/chat/completions", body, content_type="application/json")

    page = look(acme, before)
    assert "The model `gpt-nonsense` does not exist" in page
    assert f"/usage/calls/{answer['x-request-id']}/" in page
    assert "was refused" not in look(acme, timezone.now())


def look(cast: Any, since: Any, **query: Any) -> str:
    page = f"/t/{cast.tenant.slug}/quickstart/call/"
    answer = browser_of(cast.owner).get(page, {"since": since.isoformat(), **query})
    return " ".join(answer.content.decode().split())


def call(cast: Any, cost_nusd: int) -> None:
    hold = admit(event=event(cast, cost_nusd, started_at=time.time()))
    capture(hold, hold.event.with_(cost_nusd=cost_nusd, status="completed", duration_ms=840))
    settle_partition(partition=partition_of(cast.code))


def test_the_page_sees_the_first_call_and_says_what_it_cost(acme: Any) -> None:
    began_at = timezone.now() - timedelta(seconds=1)
    waiting = look(acme, began_at)
    assert "Waiting for the call" in waiting
    assert 'hx-trigger="every 2s"' in waiting

    call(acme, 2_500_000)

    seen = look(acme, began_at)
    assert "Your call has arrived" in seen
    assert "$0.0025" in seen
    assert "840 ms" in seen
    assert "every 2s" not in seen
    # Only what comes after the page was opened.
    assert "Waiting for the call" in look(acme, timezone.now() + timedelta(seconds=1))


def test_the_page_stops_looking_after_a_while_and_can_be_told_to_go_on(acme: Any) -> None:
    page = look(acme, timezone.now(), look=300)

    assert "every 2s" not in page
    assert "Look again" in page
    assert "look=0" in page


@pytest.mark.parametrize(
    "query", [{"since": "nonsense"}, {"since": ""}, {"look": "-1"}, {"look": "x"}]
)
def test_a_nonsensical_question_is_answered_all_the_same(acme: Any, query: Any) -> None:
    page = f"/t/{acme.tenant.slug}/quickstart/call/"

    assert browser_of(acme.owner).get(page, query).status_code == 200
