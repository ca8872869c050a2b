"""What somebody sees who has no account."""

from typing import Any

import pytest
from django.test import Client

from inference.catalog.selectors import catalogue


@pytest.fixture(autouse=True)
def _open(settings: Any) -> None:
    settings.SIGNUP_OPEN = True


def get(path: str, status: int = 200, **options: Any) -> str:
    response = Client().get(path, **options)
    assert response.status_code == status
    return response.content.decode()


def test_a_stranger_learns_what_this_is_and_what_it_costs(acme: Any, settings: Any) -> None:
    settings.TRIAL_CREDIT_NUSD = 2_500_000_000
    page = get("/")

    assert f"{len(catalogue().offers)} AI models" in page
    assert settings.AGENTFLARE_URL + "/v1" in page
    assert "$2.50" in page
    assert "/accounts/signup/" in page


def test_without_trial_credit_none_is_promised(acme: Any, settings: Any) -> None:
    settings.TRIAL_CREDIT_NUSD = 0
    for path in ("/", "/models/"):
        assert "is on us" not in get(path)


def test_who_is_signed_in_goes_to_their_workspace(acme: Any) -> None:
    client = Client()
    client.force_login(acme.owner)
    assert client.get("/").headers["Location"] == f"/t/{acme.tenant.slug}/"


def test_the_price_list_is_searched_without_an_account(acme: Any) -> None:
    page = get("/models/?q=bge-m3")

    assert 'href="/models/bge-m3/"' in page
    assert "gpt-oss-20b" not in page
    assert "/t/" not in page
    assert "<header" not in get("/models/?q=bge", headers={"HX-Request": "true"})


@pytest.mark.parametrize("name", ["bge-m3", "llama-3.3-70b-fast"])
def test_a_model_tells_strangers_its_price_and_program(acme: Any, name: str) -> None:
    page = get(f"/models/{name}/")

    assert "What it costs" in page
    assert "Call it" in page
    assert "/t/" not in page


def test_a_model_that_is_not_there_is_not_found(acme: Any) -> None:
    get("/models/nonsense/", status=404)


@pytest.mark.parametrize("path", ["/", "/models/", "/models/bge-m3/"])
def test_where_nobody_can_sign_up_one_signs_in(acme: Any, settings: Any, path: str) -> None:
    settings.SIGNUP_OPEN = False
    response = Client().get(path)
    assert response.headers["Location"] == f"/accounts/login/?next={path}"
