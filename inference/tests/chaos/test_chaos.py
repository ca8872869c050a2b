"""Whatever is killed, stopped or misbehaves: every answer is in the ledger at the price told,
and nothing else is.

    make test-chaos                          a minute and a half, a seed by chance
    make test-chaos SEED=7 SECONDS=600       again the same disasters, for longer

Load and disasters are drawn from the seed; what hits what at which moment is still the machine's.
"""

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inference.tests.chaos.books import balances, booked, manage, wait_until_calm
from inference.tests.chaos.disasters import happen
from inference.tests.chaos.load import Client

USD = 10**9
TENANTS = ("acme", "globex", "initech")
CREDIT_USD = 25
CLIENTS_EACH = 3
SECONDS = float(os.environ.get("CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("CHAOS_SEED") or 1)

pytestmark = pytest.mark.slow


def provision(sandbox: Any) -> dict[str, str]:
    """Tenant → key. The sandbox has acme; the last has nearly nothing."""
    keys = {"acme": sandbox.env["AGENTFLARE_API_KEY"]}
    for slug in TENANTS[1:]:
        amount = "0.02" if slug == TENANTS[-1] else str(CREDIT_USD)
        for command in (
            ("create_tenant", slug),
            ("grant_credit", slug, amount, "--reference", "chaos"),
        ):
            status, printed = manage(sandbox, *command)
            assert status == 0, printed
        status, printed = manage(sandbox, "create_api_key", slug, "--json")
        assert status == 0, printed
        keys[slug] = json.loads(printed.splitlines()[-1])["key"]
    return keys


@pytest.mark.timeout(SECONDS + 400)
def test_nothing_is_lost_and_nothing_is_counted_twice(
    own_sandbox: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox, chance = own_sandbox, random.Random(SEED)
    keys = provision(sandbox)
    clients = [
        Client(f"{sandbox.url}/v1", slug, key, random.Random(f"{SEED} {slug} {number}"))
        for slug, key in keys.items()
        for number in range(CLIENTS_EACH)
    ]
    stop = threading.Event()
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(client.run, stop) for client in clients]
        try:
            time.sleep(1)
            diary = happen(sandbox, chance, seconds=SECONDS)
            time.sleep(3)
        finally:
            stop.set()
        for client_run in running:
            client_run.result()
    wait_until_calm(sandbox)

    totals = []
    for slug in TENANTS:
        own = [client for client in clients if client.slug == slug]
        totals.append(compare(slug, own, booked(sandbox, slug), balances(sandbox, slug)))
    with capsys.disabled():
        sys.stdout.write(f"\nchaos, seed {SEED}, {SECONDS:g} s: {', '.join(diary)}\n")
        sys.stdout.write("".join(f"{line}\n" for line in totals))
    assert sum(len(client.told) for client in clients) > 2 * SECONDS


def compare(
    slug: str,
    clients: list[Client],
    records: dict[str, tuple[int, str]],
    accounts: dict[str, int],
) -> str:
    """Raises AssertionError where what was told and what is booked differ. Returns the totals."""
    told: dict[str, int] = {}
    for client in clients:
        for request_id, cost in client.told.items():
            assert told.setdefault(request_id, cost) == cost
    untold = set().union(*(client.untold for client in clients)) - told.keys()

    wrong = {
        request_id: (cost, records.get(request_id))
        for request_id, cost in told.items()
        if records.get(request_id, (None, ""))[0] != cost
    }
    assert wrong == {}, f"{slug}: told and booked differ: {wrong}"
    # What else is booked are calls whose client did not get the end of its answer.
    strangers = records.keys() - told.keys() - untold
    without_id = sum(client.without_id for client in clients)
    assert len(strangers) <= without_id, f"{slug}: {len(strangers)} calls that nobody made"
    spent = sum(cost for cost, _ in records.values())
    given = -accounts["promotion"]
    assert accounts["credit"] == given - spent
    assert accounts["usage"] == spent
    assert accounts["credit"] >= 0, f"{slug} is overdrawn"
    outcomes: Counter[str] = sum((client.outcomes for client in clients), Counter())
    return (
        f"{slug}: {len(told)} answers told ${sum(told.values()) / USD:.9f}; {len(records)} calls "
        f"booked ${spent / USD:.9f}, ${accounts['credit'] / USD:.9f} left; "
        f"{', '.join(f'{count} {name}' for name, count in outcomes.most_common())}"
    )
