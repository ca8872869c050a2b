"""The playground's pages, as the server makes them."""

import json
import re
from typing import Any

import pytest

from billing.dashboard.tests.builders import as_member, page_of, signed_in
from inference.catalog import selectors
from inference.catalog.routes import remove_route, set_route
from inference.catalog.selectors import catalogue
from inference.playground import offered
from inference.playground.kinds import PAGE_OF_KIND, TABS
from tenants.users.models import Role

PATHS = ("", "images/", "speech/", "transcription/", "embeddings/")


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    selectors.forget()
    yield
    selectors.forget()


def models_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="models" type="application/json">(.*?)</script>', page)
    assert found
    return {model["name"]: model for model in json.loads(found[1])}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_for_those_who_may_call(acme: Any, globex: Any, path: str) -> None:
    address = f"/t/{acme.tenant.slug}/playground/{path}"
    expected = {Role.OWNER: 200, Role.ADMIN: 200, Role.DEVELOPER: 200}

    for role in Role:
        assert as_member(acme, role).get(address).status_code == expected.get(role, 403)
        assert as_member(globex, role).get(address).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_a_page_brings_no_script_or_style_of_its_own(acme: Any, path: str) -> None:
    page = page_of(acme, f"playground/{path}")
    response = signed_in(acme.owner).get(f"/t/{acme.tenant.slug}/playground/{path}")

    assert "style=" not in page
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page) == [
        '<script id="models" type="application/json">'
    ]
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


def test_each_page_offers_models_that_can_and_no_others(acme: Any) -> None:
    offers = catalogue().offers
    for path, name in zip(PATHS, TABS, strict=True):
        models = models_of(page_of(acme, f"playground/{path}"))
        assert models
        assert {PAGE_OF_KIND[offers[model].kind] for model in models} == {name}


def test_it_tells_what_a_chat_model_can(acme: Any) -> None:
    models = models_of(page_of(acme, "playground/"))

    assert models["llama-3.3-70b-fast"]["tools"]
    assert models["llama-4-scout"]["vision"]
    assert not models["llama-3.3-70b-fast"]["vision"]
    assert models["gpt-oss-20b"]["reasoning"]


def test_the_model_asked_for_is_chosen(acme: Any) -> None:
    assert '<option value="gpt-oss-20b" selected>' in page_of(acme, "playground/?model=gpt-oss-20b")
    # One that cannot chat is none.
    page = page_of(acme, "playground/?model=bge-m3")
    assert '<option value="llama-3.3-70b-fast" selected>' in page


def test_a_model_leads_to_its_page(acme: Any) -> None:
    assert "playground/embeddings/?model=bge-m3" in page_of(acme, "models/bge-m3/")
    viewer = as_member(acme, Role.VIEWER)
    page = viewer.get(f"/t/{acme.tenant.slug}/models/bge-m3/").content.decode()
    assert "playground" not in page


def test_routes_are_offered_too() -> None:
    set_route(name="quick", weights={"gpt-oss-20b": 1}, fallbacks=[])
    try:
        selectors.forget()
        assert "quick" in {model["name"] for model in offered.chat_models(catalogue(), "")}
    finally:
        remove_route(name="quick")


def test_sizes_are_those_that_a_model_makes(acme: Any) -> None:
    models = models_of(page_of(acme, "playground/images/"))

    assert models["flux-1-schnell"]["sizes"] == ["1024x1024"]
    assert models["lucid-origin"]["sizes"][0] == "1120x1120"
    assert "512x512" in models["lucid-origin"]["sizes"]
