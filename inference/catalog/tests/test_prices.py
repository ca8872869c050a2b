"""Prices as the operator sets them and as everybody pays them, over HTTP."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client
from django.utils import timezone

from billing.admission.services import books
from billing.business.models import TenantDay
from billing.dashboard.tests.builders import page_of, signed_in
from billing.prices.models import Markup, PriceVersion
from billing.prices.services import as_price, prices_at, set_markup
from inference.catalog import fresh
from inference.tests.settled import nusd, say, settled_record, settled_records, wait_for
from tenants.operators.models import OperatorAction
from tenants.users.staff import sync_roles
from tenants.users.tests.builders import operator_browser

# No other test calls it.
MODEL = "sea-lion-v4-27b"
MARKUPS, VERSIONS = "/admin/prices/markup/", "/admin/prices/priceversion/"


@pytest.fixture(autouse=True)
def as_before(_database: None) -> Iterator[None]:
    yield
    Markup.objects.all().delete()
    own = PriceVersion.objects.filter(ai_model=MODEL, source=PriceVersion.Source.OPERATOR)
    own.exclude(copy_of=None).delete()
    own.delete()
    TenantDay.objects.filter(ai_model=MODEL).delete()
    fresh.changed()


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def put(client: Client, *, is_meant: bool = True, **fields: Any) -> Any:
    form = {"ai_model": MODEL, "tenant_code": "", "percent": "50", "reason": "A test", **fields}
    return client.post(f"{MARKUPS}add/", {**form, **({"_confirmed": "1"} if is_meant else {})})


def used(
    tenant_code: str, *, revenue: int, cost: int, tokens: int = 1_000, days_ago: int = 3
) -> None:
    TenantDay.objects.create(
        day=datetime.now(UTC).date() - timedelta(days=days_ago),
        tenant_code=tenant_code,
        ai_model=MODEL,
        calls=1,
        failed_calls=0,
        input_tokens=tokens,
        cached_input_tokens=0,
        output_tokens=tokens,
        cost_nusd=revenue,
        provider_cost_nusd=cost,
    )


def model_of(gateway: Any, cast: Any) -> Any:
    url = f"{gateway.url}/v1/models/{MODEL}"
    return requests.get(url, headers=cast.auth, timeout=5).json()


def wait_until(gateway: Any, cast: Any, version_id: int) -> None:
    """Several processes answer: all of them must know."""
    deadline = time.monotonic() + 15
    agreed = 0
    while agreed < 8:
        assert time.monotonic() < deadline, "the price is not known"
        seen = model_of(gateway, cast)["pricing"]["price_version"]
        agreed = agreed + 1 if seen == version_id else 0
        time.sleep(0.02)


# --- what is paid -------------------------------------------------------------------


def test_a_tenants_own_markup_is_what_it_pays_and_nobody_else(
    gateway: Any, operator: Client
) -> None:
    acme, globex = gateway.cast(), gateway.cast(name="globex")
    answer = put(operator, tenant_code=acme.code, percent="150")
    assert answer.status_code == 302
    own = prices_at(timezone.now(), acme.code)[MODEL]
    everybodys = prices_at(timezone.now())[MODEL]
    wait_until(gateway, acme, own.version_id)

    told = {}
    for cast in (acme, globex):
        reply = gateway.chat(cast, say(tokens=40), model=MODEL, max_tokens=100).json()
        told[cast.code] = nusd(reply["usage"]["request_cost"])
    mine, theirs = settled_record(acme), settled_record(globex)

    assert (mine.price_version_id, theirs.price_version_id) == (
        own.version_id,
        everybodys.version_id,
    )
    assert (mine.cost_nusd, theirs.cost_nusd) == (told[acme.code], told[globex.code])
    assert own.factor == Decimal("2.5")
    # Rounded up once, each.
    dearer = mine.cost_nusd / theirs.cost_nusd
    assert dearer == pytest.approx(float(own.factor / everybodys.factor), rel=1e-3)
    assert mine.provider_cost_nusd == theirs.provider_cost_nusd
    # The record's version alone tells its price, also when another has come.
    put(operator, tenant_code=acme.code, percent="0")
    version = PriceVersion.objects.get(pk=mine.price_version_id)
    assert as_price(version) == own
    out = StringIO()
    call_command("explain", str(mine.pk), stdout=out)
    assert "markup 150 %" in out.getvalue()
    rates = [model_of(gateway, cast)["pricing"]["rates"] for cast in (acme, globex)]
    assert rates[0] != rates[1]


def test_a_route_and_its_fallbacks_have_the_tenants_prices(gateway: Any) -> None:
    from inference.catalog.routes import remove_route, set_route
    from inference.catalog.selectors import read_catalogue

    cast = gateway.cast()
    set_markup(percent=Decimal(90), tenant_code=cast.code)
    set_route(name="dear", weights={MODEL: 1}, fallbacks=["qwen-3-30b"], note="")
    try:
        snapshot = read_catalogue()
        plans = [snapshot.of(code).route("dear") for code in (cast.code, "nobody")]
        assert [[offer.price.factor for offer in plan.offers] for plan in plans] == [
            [Decimal("1.9")] * 2,
            [Decimal("1.2")] * 2,
        ]
        # One view for each, not one for each call.
        assert snapshot.of(cast.code) is snapshot.of(cast.code)
        assert snapshot.of("nobody") is snapshot
    finally:
        remove_route(name="dear")


def test_what_was_admitted_before_keeps_its_price(gateway: Any, operator: Client) -> None:
    cast = gateway.cast()
    before = prices_at(timezone.now(), cast.code)[MODEL]
    wait_until(gateway, cast, before.version_id)
    said = say(tokens=30, chunk_ms=100)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(gateway.chat, cast, said, model=MODEL, max_tokens=60, stream=True)
        wait_for(lambda: books(cast.tenant).held)
        put(operator, tenant_code=cast.code, percent="400")
        after = prices_at(timezone.now(), cast.code)[MODEL]
        wait_until(gateway, cast, after.version_id)
        assert not call.done()
    assert "[DONE]" in call.result().text
    gateway.chat(cast, say(tokens=3), model=MODEL, max_tokens=60)
    first, second = sorted(settled_records(cast, 2), key=lambda row: row.started_at)
    assert first.price_version_id == before.version_id
    assert second.price_version_id == after.version_id


def test_a_rise_is_told_before_it_comes_and_not_when_it_was_withdrawn(
    gateway: Any, operator: Client
) -> None:
    cast = gateway.cast()
    start = timezone.now().replace(microsecond=0) + timedelta(days=7)
    put(
        operator,
        tenant_code=cast.code,
        percent="100",
        starts_at_0=f"{start:%Y-%m-%d}",
        starts_at_1=f"{start:%H:%M:%S}",
    )
    row = Markup.objects.get(tenant_code=cast.code)
    assert row.starts_at == start
    told: Any = None
    deadline = time.monotonic() + 15
    while not told:
        assert time.monotonic() < deadline
        told = model_of(gateway, cast)["pricing"]["next"]
    assert told["starts_at"] == int(start.timestamp())
    now = model_of(gateway, cast)["pricing"]["rates"]
    for unit, rate in told["rates"].items():
        assert Decimal(rate) / Decimal(now[unit]) == Decimal(2) / Decimal("1.2")
    assert model_of(gateway, gateway.cast())["pricing"]["next"] is None

    fresh.changed()
    browser, slug = signed_in(cast.owner), cast.tenant.slug
    page = browser.get(f"/t/{slug}/models/{MODEL}/").content.decode()
    assert f"{start:%Y-%m-%d %H:%M} UTC" in page
    assert f"New price from {start:%Y-%m-%d}" in browser.get(f"/t/{slug}/models/").content.decode()

    path = f"/admin/prices/withdraw/markup/{row.pk}/"
    assert "Withdraw" in operator.get("/admin/prices/").content.decode()
    operator.post(path, {"reason": ""})
    row.refresh_from_db()
    assert row.withdrawn_at is None
    for expected in ("It will not start", "was withdrawn already"):
        page = operator.post(path, {"reason": "Too dear"}, follow=True).content.decode()
        assert expected in page
    assert OperatorAction.objects.filter(action="markup.withdrawn", subject=str(row)).count() == 1
    page = browser.get(f"/t/{slug}/models/{MODEL}/").content.decode()
    assert f"{start:%Y-%m-%d %H:%M} UTC" not in page


# --- before it is set ---------------------------------------------------------------


def test_the_preview_tells_what_the_last_days_would_have_brought_and_sets_nothing(
    acme: Any, operator: Client
) -> None:
    used(acme.code, revenue=120_000_000_000, cost=100_000_000_000)
    actions = OperatorAction.objects.count()

    page = put(operator, is_meant=False, percent="80").content.decode()

    # 120 $ at 20 % are 180 $ at 80 %.
    assert "Nothing is set yet" in page
    assert "added successfully" not in page
    assert "added successfully" not in operator.get("/admin/prices/").content.decode()
    assert "$120.00" in page
    assert "$180.00" in page
    assert "44.4" in page  # per cent of margin
    assert acme.tenant.name in page
    assert "Set it all the same" not in page
    assert not Markup.objects.exists()
    assert OperatorAction.objects.count() == actions

    # What the page carries along is what is set.
    kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    answer = operator.post(f"{MARKUPS}add/", kept, follow=True)
    assert "added successfully" in answer.content.decode()
    row = Markup.objects.get()
    assert (row.ai_model, row.percent) == (MODEL, 80)
    action = OperatorAction.objects.latest("pk")
    assert (action.action, action.reason) == ("markup.added", "A test")


def test_use_from_before_another_price_counts_at_the_price_of_now(
    acme: Any, operator: Client
) -> None:
    """At 20 % until two days ago, at 50 % since then; to be 80 %."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    versions, days = PriceVersion.objects.filter(ai_model=MODEL), timedelta(days=60)
    versions.update(starts_at=F("starts_at") - days)
    set_markup(percent=Decimal(50), ai_model=MODEL, starts_at=start - timedelta(days=2))
    try:
        used(acme.code, revenue=120_000_000_000, cost=100_000_000_000)
        used(acme.code, revenue=150_000_000_000, cost=100_000_000_000, days_ago=1)
        page = put(operator, is_meant=False, percent="80").content.decode()
    finally:
        versions.update(starts_at=F("starts_at") + days)
    assert "$300.00" in page
    assert "$360.00" in page
    assert "<small>about</small>" not in page


def test_a_margin_below_the_floor_warns(acme: Any, operator: Client, settings: Any) -> None:
    settings.MARGIN_FLOOR_PERCENT = Decimal(10)
    used(acme.code, revenue=120_000_000_000, cost=100_000_000_000)
    page = put(operator, is_meant=False, percent="5").content.decode()
    assert "Below the margin floor" in page
    assert "Set it all the same" in page
    assert "4.8" in page

    assert "below 10 %" not in operator.get("/admin/prices/").content.decode()
    TenantDay.objects.filter(ai_model=MODEL).update(cost_nusd=105_000_000_000)
    assert "below 10 %" in operator.get("/admin/prices/").content.decode()
    overview = operator.get("/admin/").content.decode()
    assert "Models below the margin floor" in overview
    assert MODEL in overview


def test_what_was_used_today_was_paid_at_todays_price_and_not_at_the_new_one(
    acme: Any, operator: Client
) -> None:
    used(acme.code, revenue=12_000_000_000, cost=10_000_000_000, days_ago=0)
    page = put(operator, is_meant=False, percent="50").content.decode()
    assert "$12.00" in page
    assert "$15.00" in page


def test_rates_are_weighed_by_the_tokens_that_were_used(acme: Any, operator: Client) -> None:
    used(acme.code, revenue=12_000_000_000, cost=10_000_000_000)
    latest = prices_at(timezone.now())[MODEL]
    form = operator.get(f"{VERSIONS}add/?ai_model={MODEL}").content.decode()
    given = dict(
        re.findall(r'name="(rates-\d+-quoted_(?:neurons|usd))"[^>]*?value="([^"]*)"', form)
    )
    given |= dict(re.findall(r'value="([^"]*)"[^>]*?name="(rates-\d+-quoted_neurons)"', form))
    assert len(given) >= len(latest.rates)

    fields = {
        "ai_model": MODEL,
        "markup_percent": "20",
        "note": "",
        "reason": "Cloudflare's price has doubled",
        "rates-TOTAL_FORMS": len(latest.costs),
        "rates-INITIAL_FORMS": 0,
        "rates-MIN_NUM_FORMS": 1,
    }
    for number, (unit, cost) in enumerate(latest.costs.items()):
        neurons = (2_000_000 * cost / 11_000).quantize(Decimal("0.000001"))
        fields |= {f"rates-{number}-unit": unit, f"rates-{number}-quoted_neurons": f"{neurons:f}"}
    page = operator.post(f"{VERSIONS}add/", fields).content.decode()

    assert "Nothing is set yet" in page
    assert "$24.00" in page
    assert "$20.00" in page
    assert not PriceVersion.objects.filter(
        ai_model=MODEL, source=PriceVersion.Source.OPERATOR
    ).exists()
    assert operator.post(f"{VERSIONS}add/", {**fields, "_confirmed": "1"}).status_code == 302
    assert prices_at(timezone.now())[MODEL].factor == Decimal("1.2")
    assert OperatorAction.objects.latest("pk").action == "priceversion.added"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"percent": "-1"}, "would sell at a loss"),
        ({"ai_model": "", "percent": ""}, "Everybody needs a markup"),
        ({"tenant_code": "nobody"}, "No tenant has this code"),
        ({"ai_model": "no-such-model"}, "Select a valid choice"),
        ({"starts_at_0": "2020-01-01", "starts_at_1": "00:00"}, "cannot start in the past"),
        ({"reason": ""}, "Say why"),
        ({"percent": "NaN"}, "Enter a number"),
    ],
)
@pytest.mark.parametrize("is_meant", [False, True])
def test_what_cannot_be_is_told_beside_the_field(
    operator: Client, fields: dict[str, str], complaint: str, is_meant: bool
) -> None:
    page = put(operator, is_meant=is_meant, **fields)
    assert page.status_code == 200
    assert complaint in page.content.decode()
    assert not Markup.objects.exists()


def test_the_pages_tell_all_that_holds_and_what_it_was(operator: Client) -> None:
    put(operator, percent="33")
    page = operator.get("/admin/prices/").content.decode()
    assert "33 %" in page
    history = operator.get(f"/admin/prices/history/{MODEL}/").content.decode()
    assert "33 %" in history
    assert "20 %" in history
    assert operator.get("/admin/prices/history/no-such-model/").status_code == 404
    assert "In force" in operator.get(MARKUPS).content.decode()


def test_a_role_that_may_not_set_prices_sets_none(acme: Any) -> None:
    from billing.business.tests.test_staff import staff

    sync_roles()
    for role in ("Support", "Finance"):
        client = staff(role)
        assert put(client).status_code == 403
        assert "Set a markup" not in client.get("/admin/prices/").content.decode()
    assert not Markup.objects.exists()


# --- from a shell -------------------------------------------------------------------


def shell(*arguments: str) -> str:
    out = StringIO()
    call_command("markup", *arguments, stdout=out)
    return out.getvalue()


def test_markups_from_a_shell(acme: Any) -> None:
    shell("set", "13.75", "--tenant", acme.code, "--model", MODEL, "--reason", "Contract")
    assert prices_at(timezone.now(), acme.code)[MODEL].factor == Decimal("1.1375")
    coming = shell("set", "40", "--model", MODEL, "--start", "2099-01-01T00:00Z", "--reason", "x")
    listed = shell("list")
    assert f"in force  tenant {acme.code}, {MODEL}: 13.75 %" in listed
    assert f"to come  all tenants, {MODEL}: 40 % from 2099-01-01 00:00 UTC" in listed

    number = coming.split()[0]
    assert "It will not start" in shell("withdraw", number, "--reason", "Too early")
    with pytest.raises(CommandError, match="was withdrawn already"):
        shell("withdraw", number, "--reason", "Too early")
    shell("set", "none", "--tenant", acme.code, "--model", MODEL, "--reason", "It has ended")
    assert prices_at(timezone.now(), acme.code)[MODEL].factor == Decimal("1.2")
    trail = OperatorAction.objects.filter(tenant_code=acme.code, action="markup.added")
    assert [row.reason for row in trail.order_by("pk")] == ["Contract", "It has ended"]
    told = page_of(acme, "audit/")
    assert told.count("set prices for this workspace as operator") >= 2
    assert "13.75" not in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("set", "x"), "a markup is 0 or more"),
        (("set", "-5"), "a markup is 0 or more"),
        (("set", "none"), "Everybody needs"),
        (("set", "5", "--model", "no-such"), "no AI model"),
        (("set", "5", "--tenant", "nobody"), "no tenant"),
        (("set", "5", "--start", "tomorrow"), "such as 2026"),
        (("set", "5", "--start", "2020-01-01T00:00Z"), "in the past"),
        (("withdraw", "999999999"), "no markup"),
    ],
)
def test_a_wrong_markup_is_refused_in_the_shell(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        shell(*arguments, "--reason", "A test")
    assert not Markup.objects.exists()
