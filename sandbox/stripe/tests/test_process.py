"""The process: it starts, is killed, and comes back with all that it told."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import CARD, SECRET_KEY, StandIn, client_of, running, wait_until
from sandbox.stripe.tests.test_checkout import create

REPOSITORY = Path(__file__).resolve().parents[3]


@contextmanager
def process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, once it answers."""
    arguments = ["--port", "0", "--file", str(folder / "stripe.jsonl")]
    child = subprocess.Popen(
        [sys.executable, "-m", "sandbox.stripe", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "STRIPE_SECRET_KEY": SECRET_KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        found = re.search(r"http://\S+", child.stdout.readline())
        assert found, "the stand-in did not start"
        yield found[0], child
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()


@pytest.mark.slow
def test_killed_it_comes_back_with_all_that_it_told(tmp_path: Path) -> None:
    with process(tmp_path) as (url, child):
        client = client_of(url)
        customer = client.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"})
        session = create(client, customer=customer.id)
        requests.post(session.url, data=CARD, allow_redirects=False, timeout=5)
        child.send_signal(signal.SIGKILL)

    with process(tmp_path) as (url, child):
        client = client_of(url)
        again = client.v1.customers.create({"name": "Acme"}, {"idempotency_key": "k"})
        done = client.v1.checkout.sessions.retrieve(session.id)
        assert again.id == customer.id
        assert done.payment_status == "paid"
        assert client.v1.events.list({"type": "checkout.session.completed"}).data
        child.terminate()
        assert child.wait(10) == 0


def test_a_line_cut_off_by_the_kill_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "stripe.jsonl"
    with running(file=file) as stand_in:
        kept = stand_in.client.v1.customers.create({})
        size = file.stat().st_size
        cut = stand_in.client.v1.customers.create({})
    os.truncate(file, size + 20)

    with running(file=file) as stand_in:
        client = stand_in.client
        assert client.v1.customers.retrieve(kept.id).id == kept.id
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.customers.retrieve(cut.id)
        client.v1.customers.create({})
    with running(file=file) as stand_in:
        assert len(stand_in.client.v1.customers.list().data) == 2


def test_what_is_due_happens_after_a_restart(tmp_path: Path) -> None:
    """A dispute that was to come, and the orders for webhooks."""
    params: Any = {
        "amount": 100, "currency": "usd", "confirm": True, "payment_method": "pm_card_createDispute"
    }  # fmt: skip
    file = tmp_path / "stripe.jsonl"
    with running(file=file, dispute_delay_s=3.0) as stand_in:
        stand_in.client.v1.payment_intents.create(params)
        stand_in.control("POST", "webhooks", copies=3)
        assert disputes_of(stand_in) == []

    with running(file=file) as stand_in:
        assert stand_in.control("GET", "webhooks")["copies"] == 3
        wait_until(lambda: disputes_of(stand_in))


def disputes_of(stand_in: StandIn) -> list[Any]:
    return list(stand_in.client.v1.disputes.list().data)


def test_the_journal_is_for_our_eyes_only(tmp_path: Path) -> None:
    with running(file=tmp_path / "stripe.jsonl"):
        assert (tmp_path / "stripe.jsonl").stat().st_mode & 0o777 == 0o600
