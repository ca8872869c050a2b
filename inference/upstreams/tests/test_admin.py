from typing import Any

import pytest
from django.test import Client

from inference.catalog.models import Route
from inference.upstreams.models import Upstream
from inference.upstreams.selectors import read_accounts
from tenants.users.tests.builders import operator_browser

TOKEN = "a-secret-token"


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def form(**changes: Any) -> dict[str, Any]:
    return {
        "name": "second",
        "provider": "workers_ai",
        "account_id": "abc",
        "base_url": "",
        "gateway_id": "",
        "api_token": TOKEN,
        "weight": "2",
        "state": "active",
        "reason": "A test",
        **changes,
    }


@pytest.fixture(autouse=True)
def _leave_nothing(_database: None) -> Any:
    yield
    Upstream.objects.all().delete()
    Route.objects.all().delete()


def test_a_token_is_stored_encrypted_and_never_shown(operator: Client) -> None:
    operator.post("/admin/upstreams/upstream/add/", form())

    assert TOKEN not in Upstream.objects.get(name="second").secret
    assert read_accounts()["second"].api_token == TOKEN
    page = operator.get("/admin/upstreams/upstream/second/change/").content.decode()
    assert TOKEN not in page
    assert Upstream.objects.get(name="second").secret not in page


def test_an_empty_token_leaves_the_one_that_is_there(operator: Client) -> None:
    operator.post("/admin/upstreams/upstream/add/", form())
    operator.post("/admin/upstreams/upstream/second/change/", form(api_token="", weight="5"))

    account = read_accounts()["second"]
    assert (account.api_token, account.weight) == (TOKEN, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"account_id": ""}, "needs its account id"),
        ({"provider": "openai_compatible"}, "needs its address"),
        ({"name": "environment"}, "that the environment names"),
        ({"weight": "0"}, "weight"),
    ],
)
def test_what_makes_no_sense_is_said_beside_the_field(
    operator: Client, changes: dict[str, str], words: str
) -> None:
    response = operator.post("/admin/upstreams/upstream/add/", form(**changes))

    assert words in response.content.decode()
    assert not Upstream.objects.exists()


def test_an_upstream_that_is_off_is_not_called(operator: Client) -> None:
    operator.post("/admin/upstreams/upstream/add/", form(state="off"))
    assert "second" not in read_accounts()


def test_a_token_under_another_secret_key_is_left_out(operator: Client, settings: Any) -> None:
    operator.post("/admin/upstreams/upstream/add/", form())
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    assert "second" not in read_accounts()
    settings.SECRET_KEY_FALLBACKS = [old]
    assert read_accounts()["second"].api_token == TOKEN


def route_form(*models: tuple[str, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "best",
        "note": "",
        "reason": "A test",
        "is_active": "on",
        "candidates-TOTAL_FORMS": len(models),
        "candidates-INITIAL_FORMS": 0,
    }
    for number, (name, weight) in enumerate(models):
        fields[f"candidates-{number}-ai_model"] = name
        fields[f"candidates-{number}-weight"] = weight
        fields[f"candidates-{number}-position"] = number
    return fields


def test_a_route_is_made_in_the_admin(operator: Client) -> None:
    response = operator.post(
        "/admin/catalog/route/add/", route_form(("qwen-3-30b", 3), ("llama-3.2-1b", 0))
    )
    assert response.status_code == 302, response.content.decode()
    page = operator.get("/admin/catalog/route/").content.decode()
    assert "qwen-3-30b (100 %), else llama-3.2-1b" in page


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ((), "needs at least one AI model"),
        ((("qwen-3-30b", 1), ("whisper", 0)), "do different work"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(
    operator: Client, models: tuple[tuple[str, int], ...], words: str
) -> None:
    response = operator.post("/admin/catalog/route/add/", route_form(*models))
    assert words in response.content.decode()
    assert not Route.objects.exists()


def test_a_server_may_have_a_name_of_our_own_network(operator: Client) -> None:
    server = form(name="rack", provider="openai_compatible", base_url="http://vllm:8000/v1")
    operator.post("/admin/upstreams/upstream/add/", server)

    assert read_accounts()["rack"].base_url == "http://vllm:8000/v1"


@pytest.mark.parametrize(
    "changes",
    [
        {"gateway_id": "a: b"},
        {"base_url": "ftp://x"},
        {"account_id": ""},
        {"account_id": "../x"},
        {"name": "environment"},
        {"weight": "0"},
    ],
)
def test_what_cannot_be_called_is_refused(operator: Client, changes: dict[str, str]) -> None:
    page = operator.post("/admin/upstreams/upstream/add/", form(**changes))

    assert page.status_code == 200
    assert not Upstream.objects.exists()
