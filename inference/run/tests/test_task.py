from types import SimpleNamespace
from typing import Any

import pytest

from inference.run.task import check_answer
from inference.upstreams.failures import UpstreamCallError


def offer(kind: str) -> Any:
    return SimpleNamespace(kind=kind)


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        [],
        "text",
        5,
        [{"label": "x"}],
        {"choices": []},
        {"choices": "text"},
        {"choices": [None]},
        {"choices": {"0": {}}},
    ],
)
def test_what_no_model_that_writes_answers_is_no_answer(result: Any) -> None:
    with pytest.raises(UpstreamCallError):
        check_answer(result, offer("chat"))


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("chat", {"response": "a"}),
        ("chat", {"choices": [{"message": {"content": "a"}}]}),
        ("chat", {"output": []}),
        ("text-classification", [{"label": "x"}]),
    ],
)
def test_answers_of_every_form_are_passed_on(kind: str, result: Any) -> None:
    check_answer(result, offer(kind))
