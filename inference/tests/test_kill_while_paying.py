"""`kill -9` in the middle of paying, over HTTP alone: what Stripe's books say, ours say.

Whoever buys has a browser's session and Stripe's page; nobody looks into our tables.
"""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from billing.payments.tests.shop import CARD, GOOD
from sandbox.testing import RunningSandbox, wait_until

ROOT = Path(__file__).resolve().parents[2]
GIVEN = Decimal(25)

# What got lost is looked after a minute later.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


class Buyer:
    """The demo workspace's owner, in a browser without scripts."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.env = sandbox.env
        self.home = f"{self.env['AGENTFLARE_URL']}/t/{self.env['AGENTFLARE_TENANT']}/billing/"
        self.session = requests.Session()
        login = f"{self.env['AGENTFLARE_URL']}/accounts/login/"
        self.session.get(login, timeout=30)
        entered = {
            "login": self.env["AGENTFLARE_OWNER_EMAIL"],
            "password": self.env["AGENTFLARE_OWNER_PASSWORD"],
        }
        assert self.post(login, **entered).status_code == 302

    def post(self, url: str, **form: str) -> requests.Response:
        return self.session.post(
            url,
            data={**form, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]},
            headers={"Referer": url},
            allow_redirects=False,
            timeout=60,
        )

    def get(self, path: str) -> str:
        answer = self.session.get(f"{self.home}{path}", timeout=60)
        answer.raise_for_status()
        return answer.text

    def order(self, amount: str) -> str:
        """Where it is paid at Stripe."""
        begun = self.post(f"{self.home}top-up/", amount=amount)
        on_the_way = self.session.get(
            f"{self.env['AGENTFLARE_URL']}{begun.headers['Location']}", timeout=60
        )
        return address_in(on_the_way.text)

    def buy(self, amount: str) -> None:
        pay(self.order(amount))

    def save_card(self) -> None:
        saved = pay(address_in(self.post(f"{self.home}card/").text))
        self.session.get(saved.headers["Location"], timeout=60).raise_for_status()

    def recharge(self, threshold: str) -> None:
        form = {"threshold": threshold, "amount": "10", "cap": "500", "enabled": "on"}
        self.post(f"{self.home}auto-recharge/", **form).raise_for_status()

    def pay_back(self, amount: str) -> None:
        """Of the newest payment that was credited."""
        listed = re.findall(r'payments/([0-9a-f-]{36})/">.*?tag-good', self.get(""), re.DOTALL)
        self.post(f"{self.home}payments/{listed[0]}/refund/", amount=amount)

    def balance(self) -> Decimal:
        """As the statement's last line has it."""
        return Decimal(self.get("statement.csv?month=all").splitlines()[-1].split(",")[-1])


def address_in(page: str) -> str:
    (address,) = set(re.findall(r'content="0; url=([^"]+)"', page))
    return address


def pay(address: str) -> requests.Response:
    return requests.post(
        address, data={**CARD, "cardNumber": GOOD}, allow_redirects=False, timeout=60
    )


def at_stripe(env: dict[str, str]) -> Any:
    return stripe.StripeClient(
        env["STRIPE_SECRET_KEY"], base_addresses={"api": env["STRIPE_API_BASE"]}
    ).v1


def net_at_stripe(env: dict[str, str]) -> Decimal:
    """Charges less refunds and disputes, in dollars: by Stripe's own books."""
    rows = at_stripe(env).balance_transactions.list({"limit": 100}).auto_paging_iter()
    return Decimal(sum(row.amount for row in rows)) / 100


def charges(env: dict[str, str]) -> list[str]:
    """What each charge that succeeded was for."""
    rows = at_stripe(env).charges.list({"limit": 100}).auto_paging_iter()
    return [row.metadata["top_up"] for row in rows if row.paid]


def audit(env: dict[str, str]) -> str:
    """What is wrong, in its own words; nothing where all is well."""
    done = subprocess.run(
        [sys.executable, "manage.py", "audit", "--quiet"],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout if done.returncode else ""


def test_whatever_dies_while_money_moves_the_books_agree(own_sandbox: RunningSandbox) -> None:
    buyer = Buyer(own_sandbox)
    buyer.save_card()
    for _ in range(3):
        buyer.buy("50")
    wait_until(lambda: buyer.balance() == GIVEN + 150, 60)

    buys, refunds = partial(buyer.buy, "10"), partial(buyer.pay_back, "3")
    recharges = partial(buyer.recharge, "190")
    for name, act in (
        ("web", buys),
        ("web", refunds),
        ("worker", recharges),
        ("stripe", refunds),
        ("stripe", buys),
        ("worker", buys),
        ("postgres", buys),
        ("valkey", refunds),
    ):
        kill_during(own_sandbox, name, act, after_s=random.uniform(0.02, 0.2))
        wait_until(lambda: is_ready(buyer), 60)

    wait_until(lambda: agrees(buyer), 240)
    assert audit(buyer.env) == ""
    charged = charges(buyer.env)
    assert len(charged) == len(set(charged))
    # Not all were in vain.
    assert len(charged) > 3


def kill_during(
    sandbox: RunningSandbox, name: str, act: Callable[[], Any], *, after_s: float
) -> None:
    """The buyer sees what broke, and does not try again."""
    before = sandbox.pid(name)
    killing = threading.Timer(after_s, os.kill, (before, signal.SIGKILL))
    with ThreadPoolExecutor(1) as pool:
        killing.start()
        broke = pool.submit(act).exception()
    assert not isinstance(broke, AssertionError), broke
    sandbox.wait_for_another(name, before)


def is_ready(buyer: Buyer) -> bool:
    healths = ("AGENTFLARE_URL", "/health/ready"), ("STRIPE_API_BASE", "/health")
    with suppress(requests.RequestException):
        return all(requests.get(buyer.env[at] + path, timeout=5).ok for at, path in healths)
    return False


def agrees(buyer: Buyer) -> bool:
    """Nothing is open, and what came and went is the same on both sides."""
    time.sleep(1)
    with suppress(requests.RequestException):
        is_over = "on its way to Stripe" not in buyer.get("payments/")
        return is_over and buyer.balance() - GIVEN == net_at_stripe(buyer.env)
    return False
