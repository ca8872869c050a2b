"""What a call costs: rates, Cloudflare's neurons, and when to believe them."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.prices.models import Unit
from billing.prices.services import Price

NEURON = Decimal(11_000)


def price(neurons: Mapping[str, str], *, markup: str = "0", follows_neurons: bool = True) -> Price:
    factor = 1 + Decimal(markup) / 100
    costs = {unit: Decimal(each) * NEURON for unit, each in neurons.items()}
    return Price(
        version_id=1,
        starts_at=timezone.now(),
        rates={unit: cost * factor for unit, cost in costs.items()},
        costs=costs,
        factor=factor,
        follows_neurons=follows_neurons,
    )


CHAT = price({Unit.INPUT_TOKENS: "0.026668", Unit.OUTPUT_TOKENS: "0.204805"})
USED = {Unit.INPUT_TOKENS: 21, Unit.OUTPUT_TOKENS: 3}
# 21 × 0.026668 + 3 × 0.204805 neurons.
BY_RATES = 12_919


def test_without_neurons_the_rates_decide() -> None:
    assert CHAT.charge_nusd(USED) == BY_RATES


def test_told_neurons_decide_to_the_nano_dollar() -> None:
    assert CHAT.charge_nusd(USED, neurons=Decimal("1.174443")) == BY_RATES
    assert CHAT.charge_nusd(USED, neurons=Decimal("1.17")) == 12_870


def test_the_markup_comes_on_top_and_is_rounded_up_once() -> None:
    dearer = price({Unit.OUTPUT_TOKENS: "0.204805"}, markup="20")
    assert dearer.charge_nusd({Unit.OUTPUT_TOKENS: 3}, neurons=Decimal("0.614415")) == 8_111
    assert dearer.provider_nusd({Unit.OUTPUT_TOKENS: 3}, neurons=Decimal("0.614415")) == 6_759


@pytest.mark.parametrize("neurons", ["0", "0.1", "5", "1000000"])
def test_a_figure_far_from_the_rates_is_not_believed(neurons: str) -> None:
    assert CHAT.charge_nusd(USED, neurons=Decimal(neurons)) == BY_RATES


def test_cached_tokens_may_have_been_charged_in_full() -> None:
    cached = price(
        {
            Unit.INPUT_TOKENS: "0.04",
            Unit.CACHED_INPUT_TOKENS: "0.001",
            Unit.OUTPUT_TOKENS: "0.1",
        }
    )
    used = {Unit.INPUT_TOKENS: 10, Unit.CACHED_INPUT_TOKENS: 990, Unit.OUTPUT_TOKENS: 1}
    assert cached.charge_nusd(used, neurons=Decimal("40.1")) == 441_100


def test_a_price_of_the_operators_own_is_not_cloudflares() -> None:
    own = price({Unit.OUTPUT_TOKENS: "1"}, follows_neurons=False)
    assert own.charge_nusd({Unit.OUTPUT_TOKENS: 1}, neurons=Decimal("1.2")) == 11_000


def test_our_own_count_gives_way_to_cloudflares_up_to_the_bound() -> None:
    translation = price({Unit.INPUT_TOKENS: "0.03", Unit.OUTPUT_TOKENS: "0.03"})
    counted = {Unit.INPUT_TOKENS: 1, Unit.OUTPUT_TOKENS: 1}
    most = {Unit.INPUT_TOKENS: 10, Unit.OUTPUT_TOKENS: 10}

    assert translation.charge_nusd(counted, neurons=Decimal("0.6"), most=most) == 6_600
    assert translation.charge_nusd(counted, neurons=Decimal("0.02"), most=most) == 220
    assert translation.charge_nusd(counted, neurons=Decimal("0.0001"), most=most) == 660
    assert translation.charge_nusd(counted, neurons=Decimal("60"), most=most) == 660
    # Nothing is free by accident.
    assert translation.charge_nusd(counted, neurons=Decimal("0"), most=most) == 660


def test_what_costs_nothing_costs_nothing() -> None:
    beta = price({Unit.STEP: "0"})
    assert beta.charge_nusd({Unit.STEP: 20}, neurons=Decimal("0")) == 0
    assert beta.charge_nusd({Unit.STEP: 20}) == 0
