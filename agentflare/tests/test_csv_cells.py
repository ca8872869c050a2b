import pytest

from agentflare.csv_cells import plain_cell


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
)
def test_a_formula_is_text(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Acme", "a=b", "1-2", "{'a': '=1'}"])
def test_other_text_is_as_it_is(text: str) -> None:
    assert plain_cell(text) == text
