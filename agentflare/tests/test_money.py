from decimal import Decimal

import pytest

from agentflare.money import format_usd, neurons_nusd, parse_usd, price_nusd


def test_a_price_is_rounded_up_once_over_all_quantities() -> None:
    rates = {"input": Decimal("0.4"), "output": Decimal("0.4")}

    assert price_nusd(quantities={"input": 1, "output": 1}, rates=rates) == 1
    assert price_nusd(quantities={"input": 1, "output": 2}, rates=rates) == 2
    assert price_nusd(quantities={"input": 0, "output": 0}, rates=rates) == 0


def test_a_quantity_without_a_rate_is_an_error_and_not_free() -> None:
    with pytest.raises(KeyError):
        price_nusd(quantities={"minutes": 1}, rates={"input": Decimal(1)})


def test_a_thousand_neurons_cost_eleven_thousandths_of_a_dollar() -> None:
    assert neurons_nusd(Decimal(1000)) == 11_000_000


@pytest.mark.parametrize(
    ("amount_nusd", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (25_000_000_000, "25.000000000"),
        (2**53, "9007199.254740992"),
    ],
)
def test_money_is_written_in_plain_dollars_with_nine_digits(amount_nusd: int, text: str) -> None:
    assert format_usd(amount_nusd) == text
    assert parse_usd(text) == amount_nusd


@pytest.mark.parametrize(
    "text",
    [
        *["", ".", "-", "ten", "1,5", "0.0000000001", "NaN", "Infinity", "$5", "1e9"],
        *["1e999999999", "9" * 13, "0." + "1" * 5000, "\u0661\u0662", "1_0"],
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dollars|digits"):
        parse_usd(text)
