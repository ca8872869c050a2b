import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from agentflare.errors import ModelNotFoundError
from agentflare.money import NUSD_PER_NEURON
from billing.prices.models import PriceVersion, Unit
from billing.prices.services import prices_at, set_price
from inference.catalog import fresh, selectors
from inference.catalog.models import AIModel
from inference.catalog.selectors import read_catalogue
from inference.catalog.services import DATA_FILE, load_catalogue, neurons_by_unit
from tenants.registry.models import Tenant

ROWS = json.loads(DATA_FILE.read_text())


def test_every_live_model_with_a_price_is_offered_and_no_other() -> None:
    offered = read_catalogue().offers

    expected = {
        row["friendly_id"]
        for row in ROWS
        if row["status"].startswith("active")
        and row["pricing"]
        and row["request_form"] != "websocket_only"
    }
    assert set(offered) == expected
    assert len(offered) > 60


@pytest.mark.parametrize("name", ["llama-3.3-70b-fast", "qwen-3-30b", "flux-1-schnell", "whisper"])
def test_models_are_found_by_friendly_id_and_by_cloudflares(name: str) -> None:
    catalogue = read_catalogue()
    offer = catalogue.find(name)

    assert catalogue.find(offer.upstream_model) is offer


def test_a_model_without_a_price_is_not_served_and_says_so() -> None:
    with pytest.raises(ModelNotFoundError, match="no price"):
        read_catalogue().find("apertus-1.5-8b")


def test_every_price_in_the_file_becomes_a_rate_with_the_markup() -> None:
    offers = read_catalogue().offers
    checked = 0
    for row in ROWS:
        if row["friendly_id"] not in offers:
            continue
        price = offers[row["friendly_id"]].price
        for unit, neurons in neurons_by_unit(row).items():
            assert price.rates[unit] == pytest.approx(
                neurons * NUSD_PER_NEURON * Decimal("1.2"), rel=Decimal("1e-6")
            )
            checked += 1
    assert checked > 100


def test_every_unit_of_the_file_is_known() -> None:
    units = {price["unit"] for row in ROWS for price in row["pricing"] or []}
    assert units <= set(Unit.values)


def test_loading_again_makes_no_new_prices() -> None:
    before = PriceVersion.objects.filter(copy_of=None).count()

    assert load_catalogue().new_prices == 0
    assert PriceVersion.objects.filter(copy_of=None).count() == before


def test_a_changed_markup_makes_new_versions_and_keeps_the_old(settings: Any) -> None:
    settings.MARKUP_PERCENT = Decimal(0)
    try:
        assert load_catalogue().new_prices > 60
        price = read_catalogue().find("llama-3.3-70b-fast").price
        # 26,668 neurons a million tokens, exact to the nano-dollar.
        assert price.charge_nusd({Unit.INPUT_TOKENS: 1_000_000}) == 26_668 * 11_000
        assert price.provider_nusd({Unit.INPUT_TOKENS: 1_000_000}) == 26_668 * 11_000
    finally:
        settings.MARKUP_PERCENT = Decimal(20)
        load_catalogue()


def test_the_operators_price_stands_when_the_catalogue_is_loaded() -> None:
    name = "llama-3.2-1b"
    own = set_price(
        ai_model=name,
        neurons={Unit.INPUT_TOKENS: Decimal(1), Unit.OUTPUT_TOKENS: Decimal(2)},
        markup_percent=Decimal(5),
        source=PriceVersion.Source.OPERATOR,
    )
    try:
        load_catalogue()
        assert read_catalogue().find(name).price.version_id == own.pk
    finally:
        own.delete()


def test_a_price_starts_at_its_time() -> None:
    name = "llama-3.2-3b"
    later = set_price(
        ai_model=name,
        neurons={Unit.INPUT_TOKENS: Decimal(1), Unit.OUTPUT_TOKENS: Decimal(2)},
        markup_percent=Decimal(5),
        source=PriceVersion.Source.OPERATOR,
        starts_at=timezone.now() + timedelta(hours=1),
    )
    try:
        assert prices_at(timezone.now())[name].version_id != later.pk
        assert prices_at(timezone.now() + timedelta(hours=2))[name].version_id == later.pk
    finally:
        later.delete()


def test_a_retired_model_says_so() -> None:
    assert AIModel.objects.get(name="llama-2-7b").state == AIModel.State.RETIRED
    with pytest.raises(ModelNotFoundError, match="retired"):
        read_catalogue().find("llama-2-7b")


def test_a_snapshot_that_is_far_too_old_is_read_within_an_open_transaction(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a process that was idle: the transaction of a form that looks at it goes on."""
    old = replace(selectors.catalogue(), loaded_at=float("-inf"))
    monkeypatch.setattr(selectors, "_current", old)
    with transaction.atomic():
        assert selectors.catalogue() is not old
        assert Tenant.objects.filter(code=acme.code).exists()


def test_news_that_come_while_somebody_reads_are_looked_at_again(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is at it may have read before."""
    read: list[int] = []
    monkeypatch.setattr(selectors, "read_catalogue", lambda: read.append(1) or old)
    old = selectors.catalogue()
    fresh.look()
    fresh.changed()
    with selectors._refreshing:
        fresh.look()
    assert read == []
    fresh.look()
    assert read == [1]
    fresh.look()
    assert read == [1]
    selectors.forget()
