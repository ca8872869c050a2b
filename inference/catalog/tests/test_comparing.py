"""Cloudflare's list of models beside ours, over HTTP with the stand-in."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.core.management.base import CommandError

from billing.business.health import findings
from inference.catalog.comparing import compare
from inference.catalog.models import AIModel, Comparison, Difference
from tenants.operators.models import OperatorAction
from tenants.users.tests.builders import operator_browser, staff_browser

NEW = "@cf/acme/brand-new-1b"
LLAMA = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
PAGE = "/admin/catalogue/compare/"


class Cloudflare:
    def __init__(self, url: str) -> None:
        self.url = f"{url}/__sandbox/models"

    def tells(self, **body: Any) -> None:
        requests.put(self.url, json=body, timeout=10).raise_for_status()


@pytest.fixture
def cloudflare(gateway: Any, settings: Any) -> Iterator[Cloudflare]:
    env = gateway.sandbox.env
    settings.CLOUDFLARE_BASE_URL = env["CLOUDFLARE_BASE_URL"]
    settings.CLOUDFLARE_ACCOUNT_ID = "compared"
    settings.CLOUDFLARE_API_TOKEN = env["CLOUDFLARE_API_TOKEN"]
    Difference.objects.all().delete()
    Comparison.objects.all().delete()
    there = Cloudflare(env["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4"))
    there.tells()
    yield there
    there.tells()


def told() -> dict[tuple[str, str], tuple[str, str, str]]:
    return {
        (row.upstream_model, row.field): (row.what, row.ours, row.theirs)
        for row in Difference.objects.filter(dismissed_at=None)
    }


def test_the_same_list_shows_nothing(cloudflare: Cloudflare) -> None:
    done = compare()
    assert done.error == ""
    assert done.models_seen > 60
    assert told() == {}
    assert "Both say the same" in operator_browser().get(PAGE).content.decode()


def test_what_is_new_gone_and_changed_is_told_and_nothing_taken_over(
    cloudflare: Cloudflare,
) -> None:
    before = list(AIModel.objects.order_by("name").values())
    gone = AIModel.objects.get(name="llama-3.2-1b").upstream_model
    cloudflare.tells(
        changes={
            NEW: {"context_window": "8000"},
            gone: None,
            LLAMA: {
                "context_window": "131072",
                "function_calling": "false",
                "planned_deprecation_date": "2027-01-01",
                "price": [
                    {"unit": "per M input tokens", "price": 9.99, "currency": "USD"},
                    {"unit": "per M output tokens", "price": 0, "currency": "USD"},
                ],
            },
        }
    )
    assert compare().error == ""

    found = told()
    assert found[NEW, ""] == ("new", "", "Text Generation")
    assert found[gone, ""] == ("gone", "llama-3.2-1b", "")
    assert found[LLAMA, "context_window"] == ("changed", "24000", "131072")
    assert found[LLAMA, "function_calling"] == ("changed", "yes", "no")
    assert found[LLAMA, "planned_deprecation_date"] == ("changed", "none", "2027-01-01")
    price = found[LLAMA, "price per M input tokens"]
    assert price[0] == "changed"
    assert price[2] == "$9.99"
    assert len(found) == 6
    assert list(AIModel.objects.order_by("name").values()) == before
    page = operator_browser().get(PAGE).content.decode()
    assert NEW in page
    assert "131072" in page
    (finding,) = [each for each in findings() if each.title.startswith("Differences")]
    assert (finding.value, finding.is_well) == ("6", False)

    cloudflare.tells()
    compare()
    assert told() == {}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"fails_at": 1}, "Page 1 was refused: Internal error"),
        ({"raw": "<html>"}, "is no JSON"),
        ({"raw": '{"success": true, "result": {}}'}, "has no list"),
        ({"raw": '{"success": true, "result": [{"name": 5, "properties": [{}]}]}'}, "read"),
        ({"raw": '{"success": true, "result": []}'}, "cannot be all of it"),
        ({"raw": '{"success": false, "errors": [{"message": "No"}]}'}, "refused: No"),
    ],
)
def test_a_list_that_did_not_come_in_full_changes_nothing_that_was_known(
    cloudflare: Cloudflare, fault: dict[str, Any], why: str
) -> None:
    cloudflare.tells(changes={NEW: {}})
    compare()
    known = told()

    cloudflare.tells(**fault)
    assert why in compare().error

    assert told() == known
    page = operator_browser().get(PAGE).content.decode()
    assert "failed" in page
    assert NEW in page


def test_a_page_in_the_middle_that_fails_makes_nothing_gone(
    cloudflare: Cloudflare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.workers_ai.models_list._PER_PAGE", 10)
    assert compare().models_seen > 60
    cloudflare.tells(fails_at=4)
    assert "Page 4" in compare().error
    assert told() == {}


def test_what_cloudflare_says_is_told_without_the_token(
    cloudflare: Cloudflare, settings: Any
) -> None:
    settings.CLOUDFLARE_API_TOKEN = "secret-token-123"
    said = {"success": False, "errors": [{"message": "Not by secret-token-123"}]}
    cloudflare.tells(raw=json.dumps(said))
    error = compare().error
    assert "Not by" in error
    assert "secret-token-123" not in error


def test_what_is_dismissed_stays_so_until_they_say_something_else(
    cloudflare: Cloudflare,
) -> None:
    cloudflare.tells(changes={LLAMA: {"context_window": "100"}})
    compare()
    row = Difference.objects.get()
    client = operator_browser()
    path = f"{PAGE}{row.pk}/dismiss/"

    client.post(path, {"reason": " "})
    assert told()
    client.post(path, {"reason": "Their page is wrong"})
    assert told() == {}
    action = OperatorAction.objects.order_by("-id")[0]
    assert (action.action, action.reason) == ("difference.dismissed", "Their page is wrong")
    compare()
    assert told() == {}

    cloudflare.tells(changes={LLAMA: {"context_window": "200"}})
    compare()
    assert told()[LLAMA, "context_window"][2] == "200"


def test_the_command_tells_it_by_its_exit_code(cloudflare: Cloudflare) -> None:
    out = StringIO()
    call_command("sync_catalogue", stdout=out)
    assert "0 differences" in out.getvalue()

    cloudflare.tells(changes={LLAMA: {"context_window": "100"}})
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_catalogue", "--json", stdout=out)
    assert ended.value.code == 2
    (row,) = json.loads(out.getvalue())
    assert row == {
        "model": LLAMA,
        "what": "changed",
        "field": "context_window",
        "ours": "24000",
        "theirs": "100",
        "dismissed": False,
    }

    cloudflare.tells(fails_at=1)
    with pytest.raises(CommandError, match="Internal error"):
        call_command("sync_catalogue")


def test_an_operator_looks_at_once_and_others_do_not(cloudflare: Cloudflare) -> None:
    cloudflare.tells(changes={NEW: {}})
    page = operator_browser().post(f"{PAGE}now/", follow=True).content.decode()
    assert "models were looked at" in page
    assert NEW in page
    looks = staff_browser("view_difference")
    assert looks.get(PAGE).status_code == 200
    assert "Dismiss" not in looks.get(PAGE).content.decode()
    assert looks.post(f"{PAGE}now/").status_code == 403
    assert staff_browser("view_aimodel").get(PAGE).status_code == 403
