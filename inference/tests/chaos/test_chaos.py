"""Whatever is killed, stopped or misbehaves: every answer is in the ledger at the price told,
and nothing else is.

    make test-chaos                          a minute and a half, a seed by chance
    make test-chaos SEED=7 SECONDS=600       again the same disasters, for longer

Load and disasters are drawn from the seed; what hits what at which moment is still the machine's.
"""

import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inference.tests.chaos.books import wait_until_calm
from inference.tests.chaos.disasters import happen
from inference.tests.chaos.load import Client
from inference.tests.customers import Books, new_customers

USD = 10**9
# The last one has nearly nothing.
CREDIT_NUSD = {"acme": 25 * USD, "globex": 25 * USD, "initech": USD // 50}
CLIENTS_EACH = 3
SECONDS = float(os.environ.get("CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("CHAOS_SEED") or 1)

pytestmark = pytest.mark.slow


@pytest.mark.timeout(SECONDS + 400)
def test_nothing_is_lost_and_nothing_is_counted_twice(
    own_sandbox: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox, chance = own_sandbox, random.Random(SEED)
    customers = new_customers(sandbox, CREDIT_NUSD)
    clients = [
        Client(customer, random.Random(f"{SEED} {name} {number}"))
        for name, customer in zip(CREDIT_NUSD, customers, strict=True)
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
    wait_until_calm(sandbox, customers)

    totals = []
    for customer in customers:
        own = [client for client in clients if client.customer == customer]
        totals.append(compare(customer.slug, own, customer.books()))
    with capsys.disabled():
        sys.stdout.write(f"\nchaos, seed {SEED}, {SECONDS:g} s: {', '.join(diary)}\n")
        sys.stdout.write("".join(f"{line}\n" for line in totals))
    # How many a machine manages meanwhile is its own affair; none would prove nothing.
    assert any(client.told for client in clients)


def compare(slug: str, clients: list[Client], books: Books) -> str:
    """Raises AssertionError where what was told and what is booked differ. Returns the totals."""
    records = books.calls
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
    spent, accounts = books.spent_nusd, books.ledger
    given = -accounts["promotion"]
    assert accounts["credit"] == given - spent
    # Who could pay for nothing has no such account.
    assert accounts.get("usage", 0) == spent
    assert accounts["credit"] >= 0, f"{slug} is overdrawn"
    outcomes: Counter[str] = sum((client.outcomes for client in clients), Counter())
    return (
        f"{slug}: {len(told)} answers told ${sum(told.values()) / USD:.9f}; {len(records)} calls "
        f"booked ${spent / USD:.9f}, ${accounts['credit'] / USD:.9f} left; "
        f"{', '.join(f'{count} {name}' for name, count in outcomes.most_common())}"
    )
