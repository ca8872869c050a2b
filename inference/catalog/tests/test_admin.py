"""The catalogue and its prices in the admin."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q, QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.dashboard.quickstart import QUICKSTART_MODEL
from billing.prices.models import Markup, PriceVersion, Rate
from billing.prices.services import prices_at, set_markup
from billing.prices.services import set_price as add_price
from inference.catalog.models import AIModel
from inference.catalog.routes import remove_route, set_route
from inference.catalog.services import load_catalogue
from tenants.users.tests.builders import operator_browser

# A chat model and one that takes input only; no other test calls them.
CHAT = "glm-5.2"
EMBEDDINGS = "bge-small-en"

LIST = "/admin/prices/priceversion/"


@pytest.fixture
def operator(_database: None) -> Iterator[Client]:
    """A browser in which an operator has signed in. Prices set in it are taken back."""
    yield operator_browser()
    set_here().delete()


def set_here() -> QuerySet[PriceVersion]:
    """Other tests have models, and prices, of their own."""
    is_ours = Q(ai_model__in=[CHAT, EMBEDDINGS, "no-such-model", "phi-2"])
    return PriceVersion.objects.filter(is_ours, source=PriceVersion.Source.OPERATOR)


def set_price(client: Client, model: str, neurons: dict[str, str], **fields: Any) -> Any:
    form = {
        "ai_model": model,
        "markup_percent": "50",
        "note": "a promise",
        "reason": "a new contract",
        "_confirmed": "1",
        "rates-TOTAL_FORMS": len(neurons) + 1,
        "rates-INITIAL_FORMS": 0,
        "rates-MIN_NUM_FORMS": 1,
        **fields,
    }
    for number, (unit, amount) in enumerate(neurons.items()):
        form |= {f"rates-{number}-unit": unit, f"rates-{number}-quoted_neurons": amount}
    return client.post(f"{LIST}add/", form)


def operators_prices() -> int:
    return set_here().count()


def test_a_new_price_takes_force_at_once_and_the_old_one_stays(operator: Client) -> None:
    before = prices_at(timezone.now())[CHAT]

    response = set_price(operator, CHAT, {"input_tokens": "0.1", "output_tokens": "0.2"})

    assert response.status_code == 302
    price = prices_at(timezone.now())[CHAT]
    assert price.rates["output_tokens"] == Decimal("0.0000002") * 11_000 * Decimal("1.5")
    version = PriceVersion.objects.get(pk=price.version_id)
    assert version.source == PriceVersion.Source.OPERATOR
    assert PriceVersion.objects.get(pk=before.version_id).rates.exists()


def test_the_operators_price_outlasts_a_release(operator: Client) -> None:
    set_price(operator, CHAT, {"input_tokens": "0.1", "output_tokens": "0.2"})

    load_catalogue()

    price = prices_at(timezone.now())[CHAT]
    assert PriceVersion.objects.get(pk=price.version_id).note == "a promise"


def test_a_price_may_start_later(operator: Client) -> None:
    before = prices_at(timezone.now())[EMBEDDINGS]
    start = timezone.now() + timedelta(days=2)

    response = set_price(
        operator,
        EMBEDDINGS,
        {"input_tokens": "0.1"},
        starts_at_0=start.strftime("%Y-%m-%d"),
        starts_at_1=start.strftime("%H:%M:%S"),
    )

    assert response.status_code == 302
    assert prices_at(timezone.now())[EMBEDDINGS] == before
    assert prices_at(start)[EMBEDDINGS] != before
    assert "To come" in operator.get(LIST, {"q": EMBEDDINGS}).content.decode()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ai_model": "no-such-model"}, "ai_model"),
        ({"ai_model": "phi-2"}, "ai_model"),
        ({"starts_at_0": "2020-01-01", "starts_at_1": "00:00"}, "starts_at"),
        ({"starts_at_0": "soon", "starts_at_1": ""}, "starts_at"),
        ({"markup_percent": "-1"}, "markup_percent"),
        ({"markup_percent": ""}, "markup_percent"),
    ],
)
def test_a_price_that_cannot_be_is_refused_beside_its_field(
    operator: Client, fields: dict[str, str], field: str
) -> None:
    neurons = {"input_tokens": "0.1", "output_tokens": "0.2"}

    response = set_price(operator, CHAT, neurons, **fields)

    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert operators_prices() == 0


@pytest.mark.parametrize(
    ("neurons", "words"),
    [
        ({}, "This field is required."),
        ({"input_tokens": "0.1"}, "also need a rate for: output tokens."),
        ({"input_tokens": "0.1", "output_tokens": "-0.2"}, "not below zero"),
        ({"input_tokens": "0.1", "output_tokens": ""}, "one of the two"),
    ],
)
def test_a_price_without_a_rate_for_all_that_is_counted_is_refused(
    operator: Client, neurons: dict[str, str], words: str
) -> None:
    response = set_price(operator, CHAT, neurons)

    assert response.status_code == 200
    assert words in response.content.decode()
    assert operators_prices() == 0


def test_a_price_is_followed_and_never_edited_or_deleted(operator: Client) -> None:
    version = PriceVersion.objects.filter(ai_model=CHAT, copy_of=None).get()
    page = f"{LIST}{version.pk}"

    assert operator.get(f"{page}/change/").status_code == 200
    assert operator.post(f"{page}/change/", {"markup_percent": "0"}).status_code == 403
    assert operator.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [version.pk], "post": "yes"}
    operator.post(LIST, selected)

    assert PriceVersion.objects.get(pk=version.pk).markup_percent == version.markup_percent


def test_ai_models_tell_their_price_and_are_neither_made_nor_deleted(operator: Client) -> None:
    page = f"/admin/catalog/aimodel/{CHAT}"

    markup = operator.get(f"{page}/change/").content.decode()

    assert "per million" in markup
    assert f"{LIST}add/?ai_model={CHAT}" in markup
    form = {"status": "offered", "state": "retired", "upstream_model": "x", "reason": "x"}
    operator.post(f"{page}/change/", form)
    assert AIModel.objects.get(pk=CHAT).state == AIModel.State.OFFERED
    assert AIModel.objects.get(pk=CHAT).upstream_model != "x"
    operator.post(f"{page}/change/", {**form, "as_released": "on"})
    assert operator.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get("/admin/catalog/aimodel/add/").status_code == 403


def test_the_list_asks_for_all_prices_at_once(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(20):
        page = operator.get("/admin/catalog/aimodel/").content.decode()
    assert page.count(" per million") > 20


def test_prices_can_be_shown_whatever_units_they_have(operator: Client) -> None:
    assert operator.get(LIST, {"all": ""}).status_code == 200
    ours = PriceVersion.objects.filter(copy_of=None).exclude(source=PriceVersion.Source.OPERATOR)
    for unit in Rate.objects.order_by("unit").values_list("unit", flat=True).distinct():
        version = ours.filter(rates__unit=unit).latest("pk")
        assert operator.get(f"{LIST}{version.pk}/change/").status_code == 200, unit
        model = operator.get(f"/admin/catalog/aimodel/{version.ai_model}/change/")
        assert model.status_code == 200, unit


def test_the_quickstarts_ai_model_is_on_offer() -> None:
    model = AIModel.objects.get(name=QUICKSTART_MODEL)

    assert (model.state, model.kind) == (AIModel.State.OFFERED, "chat")
    assert QUICKSTART_MODEL in prices_at(timezone.now())


@pytest.mark.parametrize(
    ("unit", "quoted", "kept"),
    [
        ("input_tokens", {"quoted_neurons": "4625"}, ("0.004625", None)),
        ("input_tokens", {"quoted_usd": "0.35"}, (None, "350")),
        ("characters", {"quoted_usd": "15"}, (None, "15000")),
        ("images", {"quoted_neurons": "4.8"}, ("4.8", None)),
        ("images", {"quoted_usd": "0.01"}, (None, "10000000")),
        ("input_tokens", {"quoted_neurons": "0"}, ("0", None)),
    ],
)
def test_a_rate_is_given_as_price_lists_quote_it_and_kept_for_one_unit(
    operator: Client, unit: str, quoted: dict[str, str], kept: tuple[str | None, str | None]
) -> None:
    rows = {f"rates-0-{name}": value for name, value in quoted.items()}
    needed = {"rates-0-unit": unit, **rows}
    if unit != "input_tokens":
        needed |= {"rates-1-unit": "input_tokens", "rates-1-quoted_neurons": "1"}
    response = set_price(operator, EMBEDDINGS, {}, **{"rates-TOTAL_FORMS": 2}, **needed)

    assert response.status_code == 302
    version = set_here().get()
    rate = version.rates.get(unit=unit)
    amounts = tuple(None if amount is None else Decimal(amount) for amount in kept)
    assert (rate.neurons, rate.nusd) == amounts
    page = operator.get(f"{LIST}{version.pk}/change/").content.decode()
    ((_, amount),) = quoted.items()
    assert re.search(rf"\$?{re.escape(amount)}( neurons)?( per million)?\s*<", page)
    # The next one begins with the same figures.
    again = operator.get(f"{LIST}add/?ai_model={EMBEDDINGS}").content.decode()
    assert f'value="{amount}"' in again


@pytest.mark.parametrize("amount", ["0.0000001", "1e30", "NaN", "Infinity", "x"])
def test_a_rate_that_cannot_be_kept_is_refused_and_not_rounded(
    operator: Client, amount: str
) -> None:
    response = set_price(operator, EMBEDDINGS, {"input_tokens": amount})
    assert response.status_code == 200
    assert operators_prices() == 0


def test_the_list_of_routes_asks_as_often_however_many_there_are(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    names = [f"many-{number}" for number in range(12)]
    try:
        for name in names[:2]:
            set_route(name=name, weights={CHAT: 1}, fallbacks=["llama-3.2-1b"], note="")
        operator.get("/admin/catalog/route/")
        with CaptureQueriesContext(connection) as of_few:
            operator.get("/admin/catalog/route/")
        for name in names[2:]:
            set_route(name=name, weights={CHAT: 1}, fallbacks=["llama-3.2-1b"], note="")
        with django_assert_max_num_queries(len(of_few)):
            page = operator.get("/admin/catalog/route/").content.decode()
        assert page.count(">many-") >= 12
    finally:
        for name in names:
            remove_route(name=name)


def test_the_list_of_models_asks_as_little_for_many_as_for_few(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    """Also where a markup makes others of their prices."""
    names = [f"many-{number}" for number in range(30)]

    def make(some: list[str]) -> None:
        AIModel.objects.bulk_create(
            AIModel(name=name, upstream_model=f"@cf/{name}", kind="chat") for name in some
        )
        for name in some:
            price = {"input_tokens": Decimal(1), "output_tokens": Decimal(2)}
            add_price(ai_model=name, neurons=price, markup_percent=Decimal(10), source="catalogue")
            set_markup(percent=Decimal(30), ai_model=name)

    try:
        make(names[:2])
        operator.get("/admin/catalog/aimodel/?q=many-")  # copies of prices are made once
        with CaptureQueriesContext(connection) as of_few:
            operator.get("/admin/catalog/aimodel/?q=many-")
        most = len(of_few)
        assert most > 5
        make(names[2:])
        operator.get("/admin/catalog/aimodel/?q=many-")
        with django_assert_max_num_queries(most):
            page = operator.get("/admin/catalog/aimodel/?q=many-").content.decode()
        assert page.count("input tokens $") == len(names)
    finally:
        versions = PriceVersion.objects.filter(ai_model__in=names)
        versions.exclude(copy_of=None).delete()
        versions.delete()
        Markup.objects.filter(ai_model__in=names).delete()
        AIModel.objects.filter(name__in=names).delete()
