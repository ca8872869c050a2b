"""`manage.py route` and `manage.py upstream` say what is wrong."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def command(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("route", "set", "x"), "at least one"),
        (("route", "set", "x", "no-such-model"), "no AI model"),
        (("route", "set", "x", "whisper", "qwen-3-30b"), "different work"),
        (("route", "set", "x", "qwen-3-30b", "--fallback", "qwen-3-30b"), "once"),
        (("route", "set", "x", "qwen-3-30b=0"), "at least 1"),
        (("route", "set", "x", "qwen-3-30b=much"), "whole number"),
        (("route", "remove", "x"), "no route"),
        (("upstream", "on", "x"), "no upstream"),
        (("upstream", "add-server", "x", "--base-url", "ftp://x", "--no-token"), "http"),
        (
            (
                *("upstream", "add-model", "x", "y", "--upstream-model", "z"),
                *("--input-usd", "1", "--output-usd", "1"),
            ),
            "no upstream",
        ),
    ],
)
def test_a_command_that_makes_no_sense_says_why(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        command(*words)
