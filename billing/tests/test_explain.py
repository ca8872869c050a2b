"""`manage.py explain`: one call's story, wherever the call stands."""

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agentflare.partitions import partition_of
from billing.admission.live_holds import Hold
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.prices.models import PriceVersion
from billing.prices.services import set_price
from billing.settlement.services import settle_partition
from tenants.keys.lookup import resolve_key


def told(request_id: str, *options: str) -> str:
    out = StringIO()
    call_command("explain", request_id, *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def hold(acme: Any) -> Hold:
    price = set_price(
        ai_model="explained-model",
        neurons={"output_tokens": Decimal("0.2")},
        markup_percent=Decimal(20),
        source=PriceVersion.Source.OPERATOR,
    )
    return admit(
        event=event(
            acme,
            5_000,
            key_id=resolve_key(acme.key).key_id,
            price_version_id=price.pk,
            ai_model="explained-model",
            attempts=2,
            upstream="environment",
            route="fast",
        )
    )


def end(hold: Hold) -> None:
    capture(
        hold,
        hold.event.with_(
            status="completed",
            truth="provider",
            cost_nusd=3_210,
            output_tokens=7,
            neurons="1.25",
            finish_reason="stop",
            quantities={"audio_minute": "0.5"},
        ),
    )


def test_a_running_call_tells_what_it_holds_and_has_used(hold: Hold, acme: Any) -> None:
    story = told(f"req_{hold.request_id}")

    assert "running: its money is held" in story
    assert "estimate, held       $0.000005000" in story
    assert "cost so far          $0.000000000" in story
    assert "the route fast, answered by explained-model" in story
    assert "environment, attempt 2" in story
    assert f"{acme.key[:17]}… “test”" in story
    assert acme.key not in story


def test_a_captured_call_is_found_before_it_is_booked(hold: Hold, acme: Any) -> None:
    end(hold)

    story = told(hold.request_id, "--tenant", acme.tenant.slug)

    assert "captured, on its way to the ledger" in story
    assert "cost, captured       $0.000003210" in story
    assert "journal entry        none yet" in story


def test_a_booked_call_tells_price_truth_and_entry(hold: Hold, acme: Any) -> None:
    end(hold)
    settle_partition(partition=partition_of(acme.code))

    story = json.loads(told(hold.request_id, "--json", "--tenant", acme.tenant.slug))

    assert story["state"] == "booked in the ledger"
    assert story["ended"].startswith("completed")
    assert story["known by"] == "provider: upstream said so"
    assert (story["output_tokens"], story["audio_minute"], story["neurons"]) == ("7", "0.5", "1.25")
    assert story["  rate of output_tokens"] == "2640 nUSD"
    assert "markup 20 %" in story["price version"]
    assert story["  credit → usage"].startswith("$0.000003210, 0 other calls")


def test_what_is_not_there_is_said_so(hold: Hold, acme: Any, globex: Any) -> None:
    with pytest.raises(CommandError, match="no such call"):
        told("req_" + "0" * 32, "--tenant", acme.tenant.slug)
    with pytest.raises(CommandError, match="no such call"):
        told(hold.request_id, "--tenant", globex.tenant.slug)
    with pytest.raises(CommandError, match="is no request id"):
        told("chatcmpl-1")
    with pytest.raises(CommandError, match="there is no tenant"):
        told(hold.request_id, "--tenant", "nobody")
