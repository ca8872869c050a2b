import pytest

from billing.templatetags.money import usd, usd_brief, usd_exact


@pytest.mark.parametrize(
    ("amount_nusd", "shown"),
    [
        (None, "–"),
        (0, "$0.00"),
        (1, "$0.000000001"),
        (1_234, "$0.000001234"),
        (500_000_000, "$0.50"),
        (999_999_999, "$0.999999999"),
        (25_000_000_000, "$25.00"),
        (24_999_999_999, "$24.9999"),
        (24_999_000_000, "$24.9990"),
        (1_234_567_000_000_000, "$1,234,567.00"),
        (-1_500_000_000, "-$1.50"),
    ],
)
def test_money_has_the_digits_that_matter_and_is_never_rounded_up(
    amount_nusd: int | None, shown: str
) -> None:
    assert usd(amount_nusd) == shown


@pytest.mark.parametrize(
    ("amount_nusd", "shown"),
    [
        (190_791_452, "$0.1907"),
        (10_000_000, "$0.01"),
        (9_999_999, "$0.009999999"),
        (-190_791_452, "-$0.1907"),
        (25_000_000_000, "$25.00"),
        (0, "$0.00"),
    ],
)
def test_large_type_has_four_digits_from_a_cent_on(amount_nusd: int, shown: str) -> None:
    assert usd_brief(amount_nusd) == shown


@pytest.mark.parametrize(
    ("amount_nusd", "shown"),
    [
        (24_988_418_804, "$24.988418804"),
        (25_000_000_000, "$25.00"),
        (-11_581_190, "-$0.01158119"),
        (1_234_500_000_000_000, "$1,234,500.00"),
    ],
)
def test_where_people_add_no_digit_is_left_out(amount_nusd: int, shown: str) -> None:
    assert usd_exact(amount_nusd) == shown
