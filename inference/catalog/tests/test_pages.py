"""The workspace's pages of AI models."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from billing.dashboard.tests.builders import as_member, page_of, signed_in, text
from inference.catalog import selectors
from inference.catalog.cards import cards
from inference.catalog.models import AIModel
from inference.catalog.routes import remove_route, set_route
from inference.catalog.selectors import catalogue
from inference.catalog.snippets import example_of, snippets_of
from tenants.users.models import Role


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    selectors.forget()
    yield
    selectors.forget()


def names(page: str) -> list[str]:
    return re.findall(r'<code id="id-\d+">(.*?)</code>', page)


def listed(cast: Any, query: str = "") -> list[str]:
    return names(page_of(cast, f"models/?{query}"))


def test_all_that_is_served_is_listed_and_nothing_else(acme: Any) -> None:
    assert sorted(listed(acme)) == sorted({*catalogue().offers, *catalogue().routes})


@pytest.mark.parametrize(
    ("query", "there", "not_there"),
    [
        ("q=LLAMA+70b", "llama-3.3-70b-fast", "gpt-oss-20b"),
        ("q=openai", "gpt-oss-20b", "bge-m3"),
        ("q=@cf/baai", "bge-m3", "gpt-oss-20b"),
        ("kind=embeddings", "bge-m3", "gpt-oss-20b"),
        ("can=vision&can=function_calling", "llama-4-scout", "llama-3.3-70b-fast"),
        ("can=json_mode", "llama-3.3-70b-fast", "bge-m3"),
        ("window=128000", "gpt-oss-20b", "llama-3.3-70b-fast"),
        ("kind=nonsense&can=nonsense&window=7&sort=x", "bge-m3", "llama-2-7b"),
        ("all=1", "llama-2-7b", "nothing"),
    ],
)
def test_the_catalogue_is_searched_and_filtered(
    acme: Any, query: str, there: str, not_there: str
) -> None:
    found = listed(acme, query)

    assert there in found
    assert not_there not in found


def test_what_fits_nothing_leads_back(acme: Any) -> None:
    assert "No model fits" in page_of(acme, "models/?q=zzzzz")


@pytest.mark.parametrize("sort", ["price", "context", "new"])
def test_it_is_ordered_as_asked(acme: Any, sort: str) -> None:
    by_name, found = listed(acme), listed(acme, f"sort={sort}")

    assert sorted(found) == sorted(by_name)
    assert found != by_name
    if sort == "context":
        offers = catalogue().offers
        windows = [offers[name].context_window or 0 for name in found if name in offers]
        assert windows[:5] == sorted(windows, reverse=True)[:5]


def test_htmx_gets_the_table_alone(acme: Any) -> None:
    path = f"/t/{acme.tenant.slug}/models/?q=bge-m3"
    part = signed_in(acme.owner).get(path, headers={"HX-Request": "true"})

    assert text(part).startswith('<section class="card" id="models"')
    assert names(text(part)) == ["bge-m3"]


def test_a_price_is_what_the_tenant_pays(acme: Any) -> None:
    rate = catalogue().find("mistral-small-3.1").price.rates["input_tokens"]
    page = page_of(acme, "models/mistral-small-3.1/")

    told = re.search(
        r"a million input tokens</th><td[^>]*>\$([\d.]+)</td><td[^>]*>([\d,.]+)<", page
    )
    assert told
    assert Decimal(told[1]) == round(rate / 1000, 6)
    # Neurons at what one costs here are that price again.
    neuron = re.search(r"costs \$([\d.]+) here", page)
    assert neuron
    neurons = Decimal(told[2].replace(",", ""))
    assert abs(neurons * Decimal(neuron[1]) - Decimal(told[1])) < Decimal("0.0001")


def test_a_retired_model_is_marked_and_says_why(acme: Any) -> None:
    page = page_of(acme, "models/llama-2-7b/")

    assert "Retired" in page
    assert "This model has been retired" in page
    assert "curl" not in page


def test_a_route_shows_where_it_leads(acme: Any) -> None:
    set_route(name="quick", weights={"gpt-oss-20b": 1}, fallbacks=["llama-3.3-70b-fast"])
    try:
        selectors.forget()
        assert listed(acme, "q=quick") == ["quick"]
        page = page_of(acme, "models/quick/")
    finally:
        remove_route(name="quick")

    assert 'models/gpt-oss-20b/"' in page
    assert "quick" in re.findall(r"&quot;model&quot;: &quot;(.*?)&quot;", page)


def test_every_model_has_programs_for_its_endpoint() -> None:
    every = cards(catalogue(), AIModel.objects.all())
    for card in every.values():
        if card.why_not:
            continue
        snippets = snippets_of(card)
        assert [program.language for program in snippets.programs] == [
            "curl",
            "Python",
            "JavaScript",
        ]
        assert all(card.name in program.source for program in snippets.programs), card.name
        _, example = example_of(card)
        json.dumps(example.whole_body)


def test_a_free_unit_is_said_to_be_free(acme: Any) -> None:
    assert "free" in page_of(acme, "models/sdxl/")


@pytest.mark.parametrize("role", list(Role))
def test_every_role_sees_models_and_strangers_do_not(acme: Any, globex: Any, role: Role) -> None:
    root = f"/t/{acme.tenant.slug}/models/"
    for path in (root, f"{root}bge-m3/"):
        assert as_member(acme, role).get(path).status_code == 200
        assert as_member(globex, role).get(path).status_code == 404


def test_an_unknown_model_is_not_there(acme: Any) -> None:
    page_of(acme, "models/gpt-nonsense/", status=404)
