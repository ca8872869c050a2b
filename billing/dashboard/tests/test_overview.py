"""The pages that a workspace's people see."""

import re
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis import exceptions

from agentflare import degraded
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.dashboard import views
from billing.dashboard.tests.builders import (
    USD,
    as_member,
    call,
    chart_data,
    page_of,
    settle,
    signed_in,
    text,
)
from billing.ledger.services import grant_credit
from billing.templatetags.figures import duration, whole
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import create_tenant, suspend_tenant
from tenants.users.models import Role, User
from tenants.users.services import add_member
from tenants.users.tests.builders import operator_browser


def overview(cast: Any) -> str:
    """The page as its owner gets it."""
    response = signed_in(cast.owner).get(f"/t/{cast.tenant.slug}/")
    assert response.status_code == 200
    return text(response)


# --- Who sees what ----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/t/some-workspace/"])
def test_signed_out_people_are_sent_to_the_sign_in_page(client: Client, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 302
    assert response.headers["Location"] == f"/accounts/login/?next={path}"


def test_a_member_of_one_workspace_does_not_find_another(acme: Any, globex: Any) -> None:
    client = signed_in(acme.owner)

    theirs = client.get(f"/t/{globex.tenant.slug}/")
    nobodys = client.get("/t/no-such-workspace/")

    assert theirs.status_code == nobodys.status_code == 404
    assert globex.tenant.name not in text(theirs)
    assert "There is no such page" in text(theirs)
    # Nothing tells the one from the other.
    assert text(theirs).replace(globex.tenant.slug, "no-such-workspace") == text(nobodys)


def test_a_member_who_was_removed_does_not_find_the_workspace_any_more(acme: Any) -> None:
    client = signed_in(acme.owner)
    acme.owner.memberships.all().delete()

    assert client.get(f"/t/{acme.tenant.slug}/").status_code == 404


def test_an_operator_sees_no_workspace_without_a_membership(acme: Any) -> None:
    operator = User.objects.create_superuser(f"op@{acme.tenant.slug}.test")

    assert signed_in(operator).get(f"/t/{acme.tenant.slug}/").status_code == 404


def test_home_leads_to_the_only_workspace(acme: Any) -> None:
    response = signed_in(acme.owner).get("/")

    assert response.headers["Location"] == f"/t/{acme.tenant.slug}/"


def test_home_lists_several_workspaces_and_no_others(acme: Any, globex: Any) -> None:
    other = create_tenant(slug=f"other-{acme.code}", name="Acme Labs")
    add_member(tenant=other, email=acme.owner.email, role=Role.VIEWER)

    page = text(signed_in(acme.owner).get("/"))

    assert f'href="/t/{acme.tenant.slug}/"' in page
    assert f'href="/t/{other.slug}/"' in page
    assert globex.tenant.slug not in page


def test_home_says_what_to_do_without_a_workspace(acme: Any) -> None:
    acme.owner.memberships.all().delete()

    page = text(signed_in(acme.owner).get("/"))

    assert "You are in no workspace yet" in page
    assert acme.owner.email in page


# --- Balance ----------------------------------------------------------------------


def figures(page: str) -> dict[str, str]:
    """The balance's parts as they are shown."""
    parts = re.findall(r"<dt>(?:<span[^>]*>− </span>)?(\w+)</dt> <dd class=\"figure\">(.*?)<", page)
    available = re.search(r'<p class="amount[^"]*">(.*?)<', page)
    assert available
    return {"Available": available[1], **dict(parts)}


def test_the_balance_is_shown_with_its_parts(acme: Any) -> None:
    call(acme, 2 * USD)
    settle(acme)
    call(acme, 3 * USD)
    running = admit(event=event(acme, 5 * USD))

    assert figures(overview(acme)) == {
        "Available": "$15.00",
        "Posted": "$23.00",
        "Held": "$5.00",
        "Unsettled": "$3.00",
    }
    capture(running, running.event.with_(cost_nusd=0, status="completed"))


def test_without_credit_the_page_says_that_calls_are_refused(acme: Any) -> None:
    call(acme, 25 * USD)

    page = overview(acme)

    assert figures(page)["Available"] == "$0.00"
    assert "calls are refused" in page


def test_while_redis_is_down_the_balance_is_said_to_be_unreadable_and_the_rest_stands(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(acme, 2 * USD)
    settle(acme)

    def down(tenant: Any) -> None:
        raise exceptions.ConnectionError

    monkeypatch.setattr(views, "books", down)

    page = overview(acme)

    assert "The balance cannot be read now" in page
    assert "Posted" not in page
    assert "$2.00" in page


def test_a_suspended_workspace_reads_why(acme: Any) -> None:
    suspend_tenant(tenant=acme.tenant, reason="The card was refused.", actor="test")

    page = overview(acme)

    assert "This workspace is suspended" in page
    assert "The card was refused." in page


# --- Usage ------------------------------------------------------------------------


def test_settled_calls_are_shown_and_spend_is_drawn_by_model_with_its_figures(
    acme: Any, globex: Any
) -> None:
    call(acme, 4 * USD, input_tokens=1200, cached_input_tokens=34, output_tokens=567)
    call(acme, 2 * USD, ai_model="gpt-oss-20b", status="upstream_broke")
    call(globex, 7 * USD, ai_model="qwen-3-30b")
    settle(acme)
    settle(globex)

    page = overview(acme)

    chart = chart_data(page, "spend-data")
    assert [series["name"] for series in chart["series"]] == ["llama-3.3-70b-fast", "gpt-oss-20b"]
    assert [series["values"][-1] for series in chart["series"]] == [4, 2]
    assert len(chart["labels"]) == 30
    assert '<td class="number">$4.00</td><td class="number">$2.00</td>' in page
    assert "1,234" in page
    assert "34 cached" in page
    assert "1.24 s" in page
    assert "Provider broke off" in page
    assert "qwen-3-30b" not in page


def test_only_the_latest_ten_calls_are_listed(acme: Any) -> None:
    for _ in range(11):
        call(acme, 1)
    settle(acme)

    assert overview(acme).count('role="rowheader" class="lead">llama-3.3-70b-fast') == 10


def test_today_this_month_and_how_long_the_credit_lasts(acme: Any) -> None:
    call(acme, 2 * USD)
    call(acme, USD, started_at=time.time() - 20 * 86_400)
    settle(acme)
    acme.tenant.created_at = timezone.now() - timedelta(days=40)
    acme.tenant.save()

    page = overview(acme)

    assert '<h2>Spent today</h2><p class="figure">$2.00</p>' in page
    # $22 at two sevenths of a dollar a day.
    assert '<h2>Credit lasts</h2><p class="figure">77 days</p>' in page


def test_a_young_workspace_is_measured_by_its_own_days(acme: Any) -> None:
    call(acme, 10 * USD)
    settle(acme)

    page = overview(acme)

    assert '<h2>Credit lasts</h2><p class="figure">1 day</p>' in page
    assert "the credit lasts a day" in page


def test_a_key_near_its_budget_is_an_alert_and_one_over_it_a_worse_one(acme: Any) -> None:
    near, _ = create_api_key(
        tenant=acme.tenant, name="near", actor="test", month_budget_nusd=10 * USD
    )
    over, _ = create_api_key(tenant=acme.tenant, name="over", actor="test", day_budget_nusd=USD)
    call(acme, 9 * USD, key_id=near.key_id, line_id=near.key_id)
    call(acme, USD, key_id=over.key_id, line_id=over.key_id)
    settle(acme)

    page = overview(acme)

    worse, mild = page.index("its calls are refused"), page.index("it may spend this month, 90 %")
    assert worse < mild
    assert f'href="/t/{acme.tenant.slug}/keys/{near.key_id}/"' in page


def test_while_a_store_is_away_the_page_says_so(acme: Any) -> None:
    call(acme, 1)
    settle(acme)
    degraded.enter("redis", cause="test")
    try:
        page = overview(acme)
    finally:
        degraded.leave("redis", cause="test")

    assert "One of our stores does not answer" in page


# --- The way to the first call ----------------------------------------------------


def test_a_new_workspace_shows_the_way_to_its_first_call(acme: Any) -> None:
    page = overview(acme)

    assert "Make your first call" in page
    assert f'href="/t/{acme.tenant.slug}/quickstart/"' in page


def test_the_page_notices_the_first_call(acme: Any) -> None:
    client, path = signed_in(acme.owner), f"/t/{acme.tenant.slug}/"

    before = client.get(path, headers={"HX-Request": "true"})
    call(acme, 1)
    settle(acme)
    after = client.get(path, headers={"HX-Request": "true"})

    assert text(before).startswith('<section class="card empty"')
    assert after.headers["HX-Refresh"] == "true"
    assert "Make your first call" not in overview(acme)


def test_a_first_call_that_was_refused_is_told_with_what_to_do(acme: Any) -> None:
    body = {"model": "gpt-nonsense", "messages": [{"role": "user", "content": "Hello"}]}
    client = Client(HTTP_AUTHORIZATION=f"Bearer {acme.key}")
    answer = client.post("/v1/chat/completions", body, content_type="application/json")

    page = overview(acme)

    assert "Your last call was refused" in page
    assert f"/usage/calls/{answer['x-request-id']}/" in page


def test_who_may_not_call_is_not_sent_to_the_playground(acme: Any) -> None:
    assert f'href="/t/{acme.tenant.slug}/playground/"' in overview(acme)
    page = text(as_member(acme, Role.BILLING).get(f"/t/{acme.tenant.slug}/"))
    assert "Make your first call" in page
    assert f'href="/t/{acme.tenant.slug}/playground/"' not in page


# --- The pages themselves ---------------------------------------------------------


def test_what_people_named_is_escaped(acme: Any) -> None:
    acme.tenant.name = "<script>alert(1)</script>"
    acme.tenant.save()
    create_api_key(tenant=acme.tenant, name="<img src=x onerror=alert(2)>", actor="test")

    page = overview(acme)

    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("is_sandbox", [True, False])
def test_a_sandbox_says_so_on_every_page(
    acme: Any, client: Client, settings: Any, is_sandbox: bool
) -> None:
    settings.SANDBOX = is_sandbox
    notice = "never from the model that was asked for"

    assert (notice in overview(acme)) is is_sandbox
    assert (notice in text(client.get("/accounts/login/"))) is is_sandbox
    assert (notice in text(client.get("/no-such-page"))) is is_sandbox


def test_pages_obey_their_own_policy(acme: Any, client: Client) -> None:
    call(acme, USD)
    settle(acme)
    slug = acme.tenant.slug
    for user, path in [
        (acme.owner, f"/t/{slug}/"),
        (acme.owner, "/accounts/password/change/"),
        (None, "/accounts/login/"),
        (None, "/accounts/signup/"),
        (None, "/no-such-page"),
    ]:
        response = (signed_in(user) if user else client).get(path)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        page = text(response)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        # JSON is data, which no browser runs.
        assert re.findall(r"<script(?![^>]*\s(?:src=|type=\"application/json\"))", page) == []
        assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


def test_styles_and_scripts_are_served_without_collecting_them(acme: Any, client: Client) -> None:
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', overview(acme))

    assert {"/static/site.css", "/static/copy.js", "/static/times.js"} <= set(files)
    for file in files:
        assert client.get(file).status_code == 200


def test_our_own_failure_is_answered_with_a_page_that_names_the_request(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(tenant: Any) -> None:
        raise RuntimeError("not for the reader")

    monkeypatch.setattr(views, "books", broken)
    client = signed_in(acme.owner)
    client.raise_request_exception = False

    response = client.get(f"/t/{acme.tenant.slug}/")

    assert response.status_code == 500
    assert response.headers["x-request-id"] in text(response)
    assert "not for the reader" not in text(response)


def test_a_grant_shows_at_once(acme: Any) -> None:
    grant_credit(tenant=acme.tenant, amount_nusd=5 * USD, reference="gift", actor="test")

    assert figures(overview(acme))["Available"] == "$30.00"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (999, "999 ms"), (1000, "1.00 s"), (59_994, "59.99 s"), (125_900, "2 min 5 s")],
)
def test_durations_are_written_in_the_unit_that_fits(milliseconds: int, words: str) -> None:
    assert duration(milliseconds) == words


def test_counts_have_their_thousands_apart() -> None:
    assert whole(1234567) == "1,234,567"


# --- Running calls ----------------------------------------------------------------


def test_running_calls_are_shown_with_what_they_hold(acme: Any, globex: Any) -> None:
    assert "Running calls" not in overview(acme)
    mine = admit(event=event(acme, 2 * USD))
    theirs = admit(event=event(globex, 3 * USD))

    page = overview(acme)

    assert "Running calls" in page
    assert f"req_{mine.request_id}" in page
    assert theirs.request_id not in page


def test_the_operator_sees_all_holds(acme: Any, globex: Any) -> None:
    holds = [admit(event=event(cast, 2 * USD)) for cast in (acme, globex)]

    page = text(operator_browser().get("/admin/holds/"))

    for cast, hold in zip((acme, globex), holds, strict=True):
        assert f"req_{hold.request_id}" in page
        assert cast.tenant.slug in page
    out = StringIO()
    call_command("holds", acme.tenant.slug, stdout=out)
    assert f"req_{holds[0].request_id}" in out.getvalue()
    assert out.getvalue().endswith("1 holds, 2.000000000 in all\n")


def test_holds_are_for_operators_alone(acme: Any) -> None:
    response = signed_in(acme.owner).get("/admin/holds/")

    assert response.status_code == 302
    assert "/admin/login/" in response.headers["Location"]


def test_an_expired_key_is_told_from_a_revoked_one(acme: Any) -> None:
    row, _ = create_api_key(tenant=acme.tenant, name="old", actor="test")
    with tenant_schema(acme.code):
        ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now())

    assert '<span class="tag">Expired</span>' in page_of(acme, "keys/")
