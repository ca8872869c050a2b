"""The pages of API keys."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from redis import exceptions

from billing.dashboard.tests.builders import (
    USD,
    as_member,
    call,
    page_of,
    settle,
    signed_in,
    text,
)
from tenants.audit.models import AuditEvent
from tenants.keys import lookup
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key, get_api_key, list_api_keys, revoke_api_key
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role

FORM = {
    "name": "batch jobs",
    "scopes": ["inference", "usage"],
    "picked_models": ["gpt-oss-20b"],
    "other_models": "my-route",
    "requests_per_minute": "60",
    "tokens_per_minute": "",
    "concurrent_calls": "4",
    "day_budget_nusd": "1.50",
    "month_budget_nusd": "$1,000",
    "life_budget_nusd": "",
    "alert_percents": "90, 50",
    "expires_on": "2099-01-31",
    "ip_ranges": "203.0.113.0/24\n2001:db8::1",
    "cache_ttl_s": "300",
    "at-TOTAL_FORMS": "2",
    "at-INITIAL_FORMS": "0",
    "at-0-ai_model": "gpt-oss-20b",
    "at-0-requests_per_minute": "10",
    "at-1-ai_model": "",
}
KEY = re.compile(r"oi_\w{40,}")


class Pages:
    """The owner's, from one address."""

    def __init__(self, cast: Any, role: Role | None = None) -> None:
        self.client = as_member(cast, role) if role else signed_in(cast.owner)
        self.root = f"/t/{cast.tenant.slug}/keys/"

    def get(self, path: str = "") -> Any:
        return self.client.get(self.root + path)

    def post(self, path: str, **form: Any) -> Any:
        return self.client.post(self.root + path, form, REMOTE_ADDR="203.0.113.9")


def only_key(cast: Any) -> ApiKey:
    return list_api_keys(tenant=cast.tenant)[0]


def trail(cast: Any) -> list[AuditEvent]:
    with tenant_schema(cast.code):
        return list(AuditEvent.objects.all())


# --- Making -----------------------------------------------------------------------


def test_a_key_has_all_that_the_form_said(acme: Any) -> None:
    page = text(Pages(acme).post("new/", **FORM, once="a"))

    key = only_key(acme)
    assert (key.name, key.scopes) == ("batch jobs", ["inference", "usage"])
    assert key.ai_models == ["gpt-oss-20b", "my-route"]
    assert (key.requests_per_minute, key.tokens_per_minute, key.concurrent_calls) == (60, None, 4)
    assert (key.day_budget_nusd, key.month_budget_nusd) == (1_500_000_000, 1000 * USD)
    assert key.life_budget_nusd is None
    assert key.alert_percents == [50, 90]
    assert key.expires_at == datetime(2099, 2, 1, tzinfo=UTC)
    assert key.ip_ranges == ["2001:db8::1/128", "203.0.113.0/24"]
    assert key.cache_ttl_s == 300
    assert key.ai_model_limits == {"gpt-oss-20b": {"requests_per_minute": 10}}
    assert key.prefix in page


def test_a_key_is_shown_once_whole_and_then_never(acme: Any) -> None:
    response = Pages(acme).post("new/", name="mine", scopes=["inference"], **_no_rows())

    (whole_key,) = set(KEY.findall(text(response)))
    assert lookup.resolve_key(whole_key).name == "mine"
    assert "no-store" in response["Cache-Control"]
    for path in ("keys/", f"keys/{only_key(acme).key_id}/"):
        assert whole_key not in page_of(acme, path)


def test_its_maker_is_in_the_trail_with_the_address_and_owns_its_usage(acme: Any) -> None:
    Pages(acme).post("new/", name="mine", scopes=["inference"], **_no_rows())

    event = trail(acme)[0]
    assert (event.action, event.actor, event.ip) == (
        "api_key.created",
        acme.owner.email,
        "203.0.113.9",
    )
    assert only_key(acme).member_id == acme.owner.pk


def test_a_form_that_is_sent_twice_makes_one_key(acme: Any) -> None:
    pages = Pages(acme)
    form = {"name": "mine", "scopes": ["inference"], "once": "abc", **_no_rows()}

    pages.post("new/", **form)
    again = pages.post("new/", **form)

    assert again["Location"] == pages.root
    assert [key.name for key in list_api_keys(tenant=acme.tenant)] == ["mine", "test"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "This field is required"),
        ("scopes", [], "Choose at least one"),
        ("day_budget_nusd", "a lot", "is not an amount in dollars"),
        ("day_budget_nusd", "-1", "An amount is 0 or more"),
        ("ip_ranges", "here", "is no address and no range"),
        ("cache_ttl_s", "5", "from 60 to 2592000 seconds"),
        ("alert_percents", "half", "Whole numbers"),
        ("alert_percents", "0", "whole numbers from 1 to 100"),
        ("expires_on", "2020-01-01", "Choose today or a day to come"),
        ("other_models", "ünknown", "cannot be the name of a model"),
        ("requests_per_minute", "-3", "greater than or equal to 0"),
        ("at-0-ai_model", "", "Name the model that these limits are for"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field_and_makes_no_key(
    acme: Any, field: str, value: Any, told: str
) -> None:
    response = Pages(acme).post("new/", **{**FORM, field: value})

    assert response.status_code == 422
    assert told in text(response)
    assert len(list_api_keys(tenant=acme.tenant)) == 1


def test_there_are_the_models_on_offer_to_pick_from(acme: Any) -> None:
    page = text(Pages(acme).get("new/"))

    assert 'value="llama-3.3-70b-fast"' in page
    assert "retired" not in page


# --- Looking ----------------------------------------------------------------------


def test_the_list_has_spend_against_the_tightest_budget(acme: Any) -> None:
    row, _ = create_api_key(
        tenant=acme.tenant,
        name="shop",
        actor="test",
        day_budget_nusd=10 * USD,
        month_budget_nusd=400 * USD,
    )
    call(acme, 9 * USD, key_id=row.key_id, line_id=row.key_id)
    settle(acme)

    page = page_of(acme, "keys/")

    assert '$9.00</span> <span class="muted">of $10.00 today' in page
    assert 'class="bar-fill bar-near" width="90"' in page


def test_ended_keys_stand_apart(acme: Any) -> None:
    row, _ = create_api_key(tenant=acme.tenant, name="old laptop", actor="test")
    revoke_api_key(tenant=acme.tenant, key_id=row.key_id, actor="test")

    page = page_of(acme, "keys/")

    works, _, ended = page.partition("Revoked and expired keys (1)")
    assert "old laptop" in ended
    assert "old laptop" not in works


def test_the_history_of_a_key_is_told_with_what_changed(acme: Any) -> None:
    pages, key = Pages(acme), only_key(acme)
    change = {**_form_of(key), "day_budget_nusd": "2", "name": "renamed"}

    pages.post(f"{key.key_id}/change/", **change)
    page = text(pages.get(f"{key.key_id}/"))

    assert "name: test → renamed" in page
    assert "day budget: – → $2.00" in page
    assert "from 203.0.113.9" in page


# --- Changing ---------------------------------------------------------------------


def test_saving_a_form_as_it_came_changes_nothing(acme: Any) -> None:
    moment = datetime.now(UTC) + timedelta(days=3, hours=5)
    row, _ = create_api_key(
        tenant=acme.tenant,
        name="shop",
        actor="test",
        expires_at=moment,
        ai_models=["gpt-oss-20b", "a-route"],
        life_budget_nusd=1_234_567_891,
        ai_model_limits={"gpt-oss-20b": {"tokens_per_minute": 5}},
    )
    pages = Pages(acme)
    page = pages.get(f"{row.key_id}/change/").content.decode()

    pages.post(f"{row.key_id}/change/", **_filled_in(page))

    now = get_api_key(tenant=acme.tenant, key_id=row.key_id)
    assert now.expires_at == moment
    assert [event.action for event in trail(acme)].count("api_key.changed") == 0


def test_a_change_holds_at_once(acme: Any) -> None:
    key = only_key(acme)
    Pages(acme).post(f"{key.key_id}/change/", **{**_form_of(key), "requests_per_minute": "7"})
    lookup.forget_all()

    assert lookup.resolve_key(acme.key).limits.requests_per_minute == 7


def test_a_change_while_redis_is_down_stands_and_is_said_to_come_late(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = only_key(acme)

    def down(*args: Any, **kwargs: Any) -> None:
        raise exceptions.ConnectionError

    monkeypatch.setattr(lookup, "publish", down)
    pages = Pages(acme)
    pages.post(f"{key.key_id}/change/", **{**_form_of(key), "name": "renamed"})

    assert "within a minute" in text(pages.get())
    assert only_key(acme).name == "renamed"


def test_an_ended_key_cannot_be_changed(acme: Any) -> None:
    key = only_key(acme)
    revoke_api_key(tenant=acme.tenant, key_id=key.key_id, actor="test")
    pages = Pages(acme)

    response = pages.post(f"{key.key_id}/change/", **{**_form_of(key), "name": "renamed"})

    assert response["Location"] == f"{pages.root}{key.key_id}/"
    assert only_key(acme).name == "test"


# --- Rotating and revoking --------------------------------------------------------


def test_a_rotated_key_works_on_as_long_as_was_chosen(acme: Any) -> None:
    old = only_key(acme)

    page = text(Pages(acme).post(f"{old.key_id}/rotate/", overlap_s="3600"))

    (whole_key,) = set(KEY.findall(page))
    new, old = list_api_keys(tenant=acme.tenant)
    assert lookup.resolve_key(whole_key).key_id == new.key_id == old.rotated_to
    assert old.expires_at is not None
    assert timedelta(minutes=59) < old.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert new.member_id == acme.owner.pk


def test_rotating_twice_makes_one_new_key(acme: Any) -> None:
    key, pages = only_key(acme), Pages(acme)
    pages.post(f"{key.key_id}/rotate/", overlap_s="3600")
    pages.post(f"{key.key_id}/rotate/", overlap_s="3600")

    assert len(list_api_keys(tenant=acme.tenant)) == 2
    assert "has been rotated already" in text(pages.get())


def test_a_revoked_key_is_refused_and_revoking_again_changes_nothing(acme: Any) -> None:
    key, pages = only_key(acme), Pages(acme)
    pages.post(f"{key.key_id}/revoke/")
    pages.post(f"{key.key_id}/revoke/")
    lookup.forget_all()

    with pytest.raises(Exception, match="revoked"):
        lookup.resolve_key(acme.key)
    assert [event.action for event in trail(acme)].count("api_key.revoked") == 1


# --- Who may ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.ADMIN, True),
        (Role.DEVELOPER, True),
        (Role.BILLING, False),
        (Role.VIEWER, False),
    ],
)
def test_roles_may_look_at_keys_and_only_some_may_change_them(
    acme: Any, role: Role, may: bool
) -> None:
    pages, key = Pages(acme, role), only_key(acme)

    assert pages.get().status_code == pages.get(f"{key.key_id}/").status_code == 200
    assert (f'href="{pages.root}new/"' in text(pages.get())) is may
    for path in ("new/", f"{key.key_id}/change/"):
        assert pages.get(path).status_code == (200 if may else 403)
    if not may:
        for path in ("new/", *(f"{key.key_id}/{do}/" for do in ("change", "rotate", "revoke"))):
            assert pages.post(path).status_code == 403
        assert only_key(acme).is_active


def test_other_tenants_and_their_keys_are_not_there(acme: Any, globex: Any) -> None:
    key, client = only_key(acme), signed_in(globex.owner)
    for slug in (acme.tenant.slug, globex.tenant.slug):
        for path in ("", "change/"):
            url = f"/t/{slug}/keys/{key.key_id}/{path}"
            assert client.get(url).status_code == 404
        for path in ("change/", "rotate/", "revoke/"):
            url = f"/t/{slug}/keys/{key.key_id}/{path}"
            assert client.post(url, {"overlap_s": "0"}).status_code == 404
    assert only_key(acme).is_active
    assert client.get(f"/t/{acme.tenant.slug}/keys/").status_code == 404
    assert client.post(f"/t/{acme.tenant.slug}/keys/new/").status_code == 404


@pytest.mark.parametrize("do", ["rotate", "revoke"])
def test_looking_at_an_action_does_nothing(acme: Any, do: str) -> None:
    assert Pages(acme).get(f"{only_key(acme).key_id}/{do}/").status_code == 405
    assert only_key(acme).is_active


def test_a_form_of_another_site_is_refused(acme: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.owner)
    key = only_key(acme)

    response = client.post(f"/t/{acme.tenant.slug}/keys/{key.key_id}/revoke/")

    assert response.status_code == 403
    assert only_key(acme).is_active


def test_names_are_escaped(acme: Any) -> None:
    create_api_key(tenant=acme.tenant, name="<img src=x onerror=alert(2)>", actor="test")

    assert "<img" not in page_of(acme, "keys/")
    assert "<img" not in page_of(acme, f"keys/{only_key(acme).key_id}/")


def _no_rows() -> dict[str, str]:
    return {"at-TOTAL_FORMS": "0", "at-INITIAL_FORMS": "0"}


def _form_of(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": key.scopes,
        "alert_percents": "50, 80, 100",
        **_no_rows(),
    }


def _filled_in(page: str) -> dict[str, Any]:
    """The form as a browser would send it untouched."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.form: dict[str, Any] = {}
            self.area = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            name = given.get("name") or ""
            if tag == "textarea":
                self.area = name
                self.form[name] = ""
            elif tag == "input" and name and name != "csrfmiddlewaretoken":
                if given.get("type") != "checkbox":
                    self.form[name] = given.get("value") or ""
                elif "checked" in given:
                    self.form.setdefault(name, []).append(given.get("value"))

        def handle_data(self, data: str) -> None:
            if self.area:
                self.form[self.area] += data.removeprefix("\n")

        def handle_endtag(self, tag: str) -> None:
            if tag == "textarea":
                self.area = ""

    reader = Reader()
    reader.feed(page)
    return reader.form


def test_a_form_that_claims_to_have_many_rows_makes_few(acme: Any) -> None:
    answer = Pages(acme).post("new/", **{**FORM, "name": "", "at-TOTAL_FORMS": "1000000"})

    assert answer.status_code == 422
    assert answer.content.decode().count("-ai_model") < 2_000
