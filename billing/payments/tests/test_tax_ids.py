import re
import typing
from typing import Any

import pytest
from stripe.params import CustomerTaxIdCreateParams

from billing.payments.countries import COUNTRIES
from billing.payments.tax_ids import TAX_ID_TYPES


def test_stripe_knows_every_kind() -> None:
    union: Any = typing.get_type_hints(CustomerTaxIdCreateParams)["type"]
    known = {word for part in typing.get_args(union) for word in typing.get_args(part)}

    assert TAX_ID_TYPES.keys() <= known


@pytest.mark.parametrize("kind", TAX_ID_TYPES.values(), ids=list(TAX_ID_TYPES))
def test_examples_are_of_their_form_and_stay_as_they_are(kind: Any) -> None:
    assert kind.clean(kind.example) == kind.example
    assert kind.clean(f" {kind.example.lower()} ") == kind.example
    with pytest.raises(ValueError, match="form"):
        kind.clean(f"{kind.example}99")


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("atu 1234 5678", "ATU12345678"),
        ("NL123456789B01", "NL123456789B01"),
        ("IE1234567FA", "IE1234567FA"),
        ("BE 0123.456.789", "BE0123456789"),
        ("XI123456789", "XI123456789"),
        ("HU12345678", "HU12345678"),
        ("el123456789", "EL123456789"),
    ],
)
def test_vat_numbers_of_the_eu(value: str, clean: str) -> None:
    assert TAX_ID_TYPES["eu_vat"].clean(value) == clean


@pytest.mark.parametrize("value", ["US123456789", "DE12345678", "GB123456789", "1", ""])
def test_what_is_no_vat_number_of_the_eu(value: str) -> None:
    with pytest.raises(ValueError, match="form"):
        TAX_ID_TYPES["eu_vat"].clean(value)


def test_countries_have_their_codes_and_names() -> None:
    assert len(COUNTRIES) == 250
    assert all(re.fullmatch("[A-Z]{2}", code) for code in COUNTRIES)
    assert COUNTRIES["GB"] == "United Kingdom"
    assert len(set(COUNTRIES.values())) == 250
