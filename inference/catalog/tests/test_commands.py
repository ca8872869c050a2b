"""`manage.py route` and `manage.py upstream`: all they do, and that they say what is wrong."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from inference.catalog.models import AIModel, Route
from inference.upstreams.models import Upstream

MODEL = ("upstream", "add-model", "rack", "ours", "--upstream-model", "z", "--output-usd", "1")


@pytest.fixture(autouse=True)
def _leave_nothing(_database: None) -> Iterator[None]:
    yield
    Route.objects.all().delete()
    AIModel.objects.exclude(upstream=None).delete()
    Upstream.objects.all().delete()


@pytest.fixture
def rack(_database: None) -> None:
    command("upstream", "add-server", "rack", "--base-url", "http://rack:8000/v1", "--no-token")
    command(*MODEL, "--input-usd", "1")


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
        (("route", "set", "x", "qwen-3-30b=99999"), "at most"),
        (("route", "set", "x", "qwen-3-30b", "qwen-3-30b=2"), "once"),
        (("route", "set", "x" * 81, "qwen-3-30b"), "80 letters"),
        (("route", "set", "a b", "qwen-3-30b"), "80 letters"),
        (("upstream", "set", "x", "--weight", "2"), "no upstream"),
        (("upstream", "remove", "x"), "no upstream"),
        (("upstream", "test", "x"), "no upstream"),
        (("upstream", "models", "x"), "no upstream"),
        (("upstream", "remove-model", "x"), "no AI model"),
        (("upstream", "remove-model", "qwen-3-30b"), "catalogue"),
        (("upstream", "add-server", "a b", "--base-url", "http://x", "--no-token"), "name"),
        (("upstream", "add-server", "x", "--base-url", "http://", "--no-token"), "address"),
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


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("upstream", "set", "rack"), "What is to change"),
        (("upstream", "set", "rack", "--weight", "0"), "at least 1"),
        (("upstream", "set", "rack", "--weight", "99999"), "weight"),
        (("upstream", "set", "rack", "--base-url", ""), "address"),
        (("upstream", "set", "rack", "--gateway-id", "a\nb: c"), "gateway_id"),
        (("upstream", "remove", "rack"), "off first"),
        (("upstream", "test", "rack", "--model", "qwen-3-30b"), "no AI model"),
        ((*MODEL, "--input-usd", "-1"), "0 or more"),
        ((*MODEL, "--input-usd", "nan"), "0 or more"),
        ((*MODEL, "--input-usd", "1", "--context-window", "-5"), "1 or more"),
        ((*MODEL[:3], "a b", *MODEL[4:], "--input-usd", "1"), "80 letters"),
    ],
)
def test_so_does_one_for_an_upstream_that_is_there(
    rack: None, words: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        command(*words)


def test_an_upstream_is_changed(rack: None) -> None:
    command("upstream", "set", "rack", "--base-url", "http://other:1/v1/", "--weight", "7")

    row = Upstream.objects.get(name="rack")
    assert (row.base_url, row.weight, row.gateway_id) == ("http://other:1/v1", 7, "")


def test_an_upstream_is_drained_and_removed_with_its_models(rack: None) -> None:
    assert command("upstream", "models", "rack") == "ours\tchat\tz\n"
    command("route", "set", "mine", "ours")
    command("upstream", "off", "rack")
    with pytest.raises(CommandError, match="ours"):
        command("upstream", "remove", "rack")
    with pytest.raises(CommandError, match="mine"):
        command("upstream", "remove-model", "ours")

    command("route", "remove", "mine")
    command("upstream", "remove-model", "ours")
    command("upstream", "remove", "rack")

    assert not Upstream.objects.exists()
    assert not AIModel.objects.filter(name="ours").exists()


def test_a_trial_says_why_an_upstream_does_not_answer(rack: None) -> None:
    command("upstream", "set", "rack", "--base-url", "http://127.0.0.1:9/v1")

    with pytest.raises(CommandError, match="did not answer for ours"):
        command("upstream", "test", "rack")
