"""What the operator chooses for an AI model, over HTTP by those whom it concerns."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest
import requests
from django.test import Client

from billing.business.models import TenantDay, TenantState
from billing.business.rolling_up import roll_up
from inference.catalog import fresh
from inference.catalog.models import AIModel, Route
from inference.catalog.services import load_catalogue
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser

# No other test calls them.
MODEL, SUCCESSOR = "sea-lion-v4-27b", "llama-3.2-3b"
PAGE = f"/admin/catalog/aimodel/{MODEL}/change/"


@pytest.fixture(autouse=True)
def as_before(_database: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Others may call it afterwards, at all processes."""
    gateway = request.getfixturevalue("gateway") if "gateway" in request.fixturenames else None
    yield
    AIModel.objects.filter(name=MODEL).update(
        status="offered", ends_on=None, successor=None, corrections={}, status_since=None
    )
    TenantDay.objects.filter(ai_model=MODEL).delete()
    load_catalogue()
    fresh.changed()
    if gateway is not None:
        wait_until_all_tell(gateway, gateway.cast(), '"finish_reason"')


def choose(client: Client | None = None, **fields: Any) -> Any:
    client = client or operator_browser()
    row = AIModel.objects.get(name=MODEL)
    form = {
        "status": row.status,
        "context_window": row.context_window or "",
        "max_input_tokens": row.max_input_tokens or "",
        "max_output_tokens": row.max_output_tokens or "",
        "capabilities": row.capabilities,
        "notes": row.notes,
        "reason": "A test",
        **fields,
    }
    return client.post(PAGE, {name: value for name, value in form.items() if value is not None})


def used(cast: Any, *, days_ago: int = 3, cost_nusd: int = 1) -> None:
    if not TenantState.objects.filter(tenant_code=cast.code).exists():
        roll_up(cast.code)  # else the gateway's worker would, and know nothing of such a day
    TenantDay.objects.create(
        day=datetime.now(UTC).date() - timedelta(days=days_ago),
        tenant_code=cast.code,
        ai_model=MODEL,
        calls=1,
        failed_calls=0,
        input_tokens=1,
        cached_input_tokens=0,
        output_tokens=1,
        cost_nusd=cost_nusd,
        provider_cost_nusd=1,
    )


def listed(gateway: Any, cast: Any) -> set[str]:
    answer = requests.get(f"{gateway.url}/v1/models", headers=cast.auth, timeout=10)
    return {model["id"] for model in answer.json()["data"]}


def wait_until_all_tell(gateway: Any, cast: Any, told: str) -> dict[str, Any]:
    """Each process learns of it within seconds: until none says anything else. Returns the error,
    where it is one."""
    deadline, in_a_row = time.monotonic() + 20, 0
    while True:
        answer = gateway.chat(cast, "hello", model=MODEL)
        in_a_row = in_a_row + 1 if told in answer.text else 0
        if in_a_row == 8:
            error: dict[str, Any] = answer.json().get("error", {})
            return error
        assert time.monotonic() < deadline, answer.text
        time.sleep(0 if in_a_row else 0.3)


def test_hidden_it_stands_in_no_list_and_is_served_to_whoever_names_it(gateway: Any) -> None:
    cast = gateway.cast()
    assert choose(status="hidden").status_code == 302
    # Several processes answer, each of which learns of it by itself.
    deadline, in_a_row = time.monotonic() + 60, 0
    while in_a_row < 8:
        assert time.monotonic() < deadline
        in_a_row = 0 if MODEL in listed(gateway, cast) else in_a_row + 1
        time.sleep(0.05)
    assert gateway.chat(cast, "hello", model=MODEL).status_code == 200
    one = requests.get(f"{gateway.url}/v1/models/{MODEL}", headers=cast.auth, timeout=10)
    assert one.status_code == 200
    people = Client()
    people.force_login(cast.owner)
    at = f"/t/{cast.tenant.slug}/models/"
    assert MODEL not in people.get(at).content.decode()
    assert MODEL not in people.get(f"{at}?all=1").content.decode()
    assert people.get(f"{at}{MODEL}/").status_code == 200
    assert f'"{MODEL}"' not in people.get(f"/t/{cast.tenant.slug}/playground/").content.decode()


def test_draining_it_is_served_to_those_alone_who_used_it(gateway: Any) -> None:
    old, new, past = gateway.cast(), gateway.cast(), gateway.cast()
    used(old)
    used(past, days_ago=31)
    ends_on = datetime.now(UTC).date() + timedelta(days=20)
    choose(status="draining", ends_on=ends_on.isoformat(), successor=SUCCESSOR)

    told = f"is being retired on {ends_on} and takes no new users"
    error = wait_until_all_tell(gateway, new, told)
    assert error["code"] == "model_not_found"
    assert f"Use `{SUCCESSOR}` instead" in error["message"]
    assert gateway.chat(past, "hello", model=MODEL).status_code == 404
    assert MODEL not in listed(gateway, new)

    wait_until_all_tell(gateway, old, '"finish_reason"')
    served = gateway.chat(old, "hello", model=MODEL)
    assert served.status_code == 200, served.text
    assert served.headers["Sunset"] == ends_on.strftime("%a, %d %b %Y 00:00:00 GMT")
    assert served.headers["Deprecation"].startswith("@")
    assert abs(int(served.headers["Deprecation"][1:]) - time.time()) < 60
    assert served.headers["Link"] == f'</v1/models/{SUCCESSOR}>; rel="successor-version"'
    assert MODEL in listed(gateway, old)
    one = requests.get(f"{gateway.url}/v1/models/{MODEL}", headers=old.auth, timeout=10).json()
    assert one["deprecation"]["ends_on"] == ends_on.isoformat()
    assert one["deprecation"]["successor"] == SUCCESSOR


def test_people_of_a_draining_model_read_until_when_and_what_instead(
    acme: Any, globex: Any
) -> None:
    used(acme)
    choose(status="draining", ends_on="2099-12-01", successor=SUCCESSOR)
    mine, theirs = Client(), Client()
    mine.force_login(acme.owner)
    theirs.force_login(globex.owner)

    page = mine.get(f"/t/{acme.tenant.slug}/models/{MODEL}/").content.decode()
    assert "from 2099-12-01 (UTC) on calls to it are refused" in page
    assert f"{SUCCESSOR}</code></a> instead" in page
    assert "Until 2099-12-01" in mine.get(f"/t/{acme.tenant.slug}/models/").content.decode()
    assert theirs.get(f"/t/{globex.tenant.slug}/models/{MODEL}/").status_code == 404


def test_off_it_is_refused_and_routes_go_on_without_it(gateway: Any) -> None:
    cast = gateway.cast()
    used(cast)
    route = Route.objects.create(name=f"fast-{cast.code}")
    route.candidates.create(ai_model_id=MODEL, weight=1)
    route.candidates.create(ai_model_id=SUCCESSOR, weight=0, position=1)
    try:
        choose(status="off", successor=SUCCESSOR)
        error = wait_until_all_tell(gateway, cast, "switched off")
        assert error["message"] == (
            f"The model `{MODEL}` has been switched off. Use `{SUCCESSOR}` instead."
        )
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=cast.key, max_retries=0)
        with pytest.raises(openai.NotFoundError, match="switched off"):
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "hi"}]
            )
        answer = gateway.chat(cast, "hello", model=route.name)
        assert answer.status_code == 200
        assert answer.headers["x-agentflare-model"] == SUCCESSOR
        page = operator_browser().get("/admin/catalog/route/").content.decode()
        assert f"Without {MODEL}, not served" in page
    finally:
        route.delete()


def test_on_its_day_it_ends_by_itself(gateway: Any) -> None:
    cast = gateway.cast()
    used(cast)
    AIModel.objects.filter(name=MODEL).update(status="draining", ends_on=datetime.now(UTC).date())
    assert wait_until_all_tell(gateway, cast, "was served until")["code"] == "model_not_found"


def test_the_choice_and_corrections_outlast_a_release(acme: Any) -> None:
    before = AIModel.objects.get(name=MODEL)
    choose(status="hidden", context_window="1234", notes="Slow on Mondays")
    load_catalogue()

    row = AIModel.objects.get(name=MODEL)
    assert (row.status, row.context_window, row.notes) == ("hidden", 1234, "Slow on Mondays")
    assert row.corrections == {"context_window": 1234, "notes": "Slow on Mondays"}
    page = operator_browser().get(PAGE).content.decode()
    assert f"Corrected. The release says: {before.context_window}" in page

    choose(as_released="on")
    row = AIModel.objects.get(name=MODEL)
    assert (row.context_window, row.notes) == (before.context_window, before.notes)
    assert row.corrections == {}
    assert row.status == "hidden"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"status": "gone"}, "status"),
        ({"ends_on": "2020-01-01"}, "ends_on"),
        ({"ends_on": "soon"}, "ends_on"),
        ({"successor": MODEL}, "successor"),
        ({"successor": "bge-m3"}, "successor"),
        ({"successor": "no-such-model"}, "successor"),
        ({"context_window": "-1"}, "context_window"),
        ({"capabilities": ["flying"]}, "capabilities"),
        ({"reason": ""}, "reason"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    acme: Any, fields: dict[str, Any], field: str
) -> None:
    answer = choose(**fields)
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert AIModel.objects.get(name=MODEL).status == "offered"


def test_the_trail_has_what_changed_and_why(acme: Any) -> None:
    choose(status="off", reason="Too slow")
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.subject, action.reason) == (
        "aimodel.changed",
        MODEL,
        "Too slow",
    )
    assert action.detail == {"status": ["offered", "off"]}


def test_the_list_has_calls_and_revenue_of_thirty_days(acme: Any) -> None:
    operator = operator_browser()
    used(acme, cost_nusd=70_000_000_001)
    used(acme, days_ago=40, cost_nusd=900_000_000_000)
    page = operator.get("/admin/catalog/aimodel/", {"q": MODEL}).content.decode()
    # Whatever calls of the tests before the gateway's worker has rolled up meanwhile.
    assert "$70.0" in page
    assert acme.tenant.name in operator_browser().get(PAGE).content.decode()
