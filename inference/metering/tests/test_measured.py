from decimal import Decimal

from billing.prices.models import Unit
from billing.usage.models import Truth
from inference.metering.measured import Measured, parse_neurons, sum_of

TWO = Measured({Unit.INPUT_TOKENS: 2}, neurons=Decimal("0.2"))
THREE = Measured({Unit.INPUT_TOKENS: 3, Unit.IMAGES: 1}, neurons=Decimal("0.3"))
UNTOLD = Measured({Unit.INPUT_TOKENS: 1}, truth=Truth.COUNTED)


def test_parts_add_up() -> None:
    total = sum_of([TWO, THREE])
    assert total.quantities == {Unit.INPUT_TOKENS: 5, Unit.IMAGES: 1}
    assert total.neurons == Decimal("0.5")
    assert total.without(THREE) == Measured(
        {Unit.INPUT_TOKENS: 2, Unit.IMAGES: 0}, neurons=Decimal("0.2")
    )


def test_what_one_part_does_not_tell_is_not_told_of_all() -> None:
    total = sum_of([TWO, UNTOLD])
    assert total.neurons is None
    assert total.truth == Truth.COUNTED
    assert sum_of([]) == Measured()


def test_only_a_number_that_can_be_one_is_a_count_of_neurons() -> None:
    assert parse_neurons("1.25") == Decimal("1.25")
    assert parse_neurons(1.17) == Decimal("1.17")
    for odd in ("", "much", "NaN", "inf", "-1", "1e30", None, True, [], {}):
        assert parse_neurons(odd) is None
