from typing import Any

import pytest

from inference.moderations.categories import CATEGORIES, moderation_result
from inference.moderations.task import verdict_in
from inference.upstreams.failures import UpstreamCallError


@pytest.mark.parametrize(
    ("response", "safe", "hazards"),
    [
        ("safe", True, []),
        ("\n\nunsafe\nS10", False, ["S10"]),
        ("unsafe\nS6, S7", False, ["S6", "S7"]),
        ({"safe": False, "categories": ["S2"]}, False, ["S2"]),
        ({"safe": True, "categories": None}, True, []),
        ('{"safe": true, "categories": []}', True, []),
    ],
)
def test_a_verdict_is_read_in_either_form(response: Any, safe: bool, hazards: list[str]) -> None:
    assert verdict_in(response) == {"safe": safe, "hazards": hazards}


@pytest.mark.parametrize("response", ["perhaps", "", None, {"safe": "yes"}, 7, []])
def test_anything_else_is_no_verdict(response: Any) -> None:
    """Least of all a safe one."""
    with pytest.raises(UpstreamCallError):
        verdict_in(response)


@pytest.mark.parametrize("hazard", [f"S{number}" for number in range(1, 15)])
def test_every_hazard_flags_and_names_only_categories_of_openai(hazard: str) -> None:
    result: Any = moderation_result(safe=False, hazards=[hazard])

    assert result["flagged"]
    assert result["hazards"] == [hazard]
    assert tuple(result["categories"]) == tuple(result["category_scores"]) == CATEGORIES


def test_a_hazard_nobody_knows_still_flags() -> None:
    result: Any = moderation_result(safe=False, hazards=["S99"])
    assert result["flagged"]
    assert not any(result["categories"].values())
