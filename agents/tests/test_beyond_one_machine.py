"""Two web hosts, and a Redis Cluster of three masters with a replica each: what one host has
begun the other goes on with, slots move and a master dies under calls, and money adds up."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from agentflare.partitions import partition_of
from agents.sockets.tests.conftest import Client
from agents.tests.talker import Talker, script, text_of
from inference.tests.customers import NUSD, Customer, new_customer, new_customers
from inference.tests.settled import say, wait_for
from sandbox.embedded.cluster import ValkeyNode
from sandbox.pytest_whole import TwoHosts
from sandbox.supervisor.ready import status_of
from sandbox.testing import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def customer(two_hosts: TwoHosts) -> Customer:
    return new_customer(two_hosts.sandbox)


def chat(url: str, customer: Customer, text: str = "Hello", **headers: str) -> requests.Response:
    return requests.post(
        f"{url}/v1/chat/completions",
        json={"model": "llama-3.3-70b-fast", "messages": [{"role": "user", "content": text}]},
        headers={**customer.headers, **headers},
        timeout=40,
    )


def talker(url: str, customer: Customer) -> Talker:
    return Talker(f"{url}/v1", customer.key)


def cost_of(response: requests.Response) -> int:
    return int(Decimal(response.json()["usage"]["request_cost"]) * NUSD)


def assert_adds_up(customer: Customer, told: dict[str, int]) -> None:
    """What clients were told is what the ledger has, and all of it."""
    left = customer.wait_until_settled()
    books = customer.books()
    assert {call: cost for call, (cost, _) in books.calls.items()} == told
    assert left["posted"] == 25 * NUSD - sum(told.values())


def code_of(customer: Customer) -> str:
    import psycopg

    with psycopg.connect(customer.sandbox.env["DATABASE_URL"]) as connection:
        (code,) = connection.execute(
            "SELECT code FROM registry_tenant WHERE slug = %s", [customer.slug]
        ).fetchone() or ("",)
    return str(code)


def node_of(hosts: TwoHosts, customer: Customer) -> ValkeyNode:
    return hosts.cluster.owner(slot_of(hosts, customer))


def slot_of(hosts: TwoHosts, customer: Customer) -> int:
    return hosts.cluster.slot(f"{{p{partition_of(code_of(customer))}}}:gate")


# --- what two hosts share ---------------------------------------------------------------


def test_a_key_revoked_by_one_is_refused_by_both_within_a_second(
    two_hosts: TwoHosts, customer: Customer
) -> None:
    for url in two_hosts.urls:
        assert chat(url, customer).status_code == 200
    two_hosts.sandbox.manage(["revoke_api_key", customer.slug, customer.key])
    time.sleep(1)
    assert [chat(url, customer).status_code for url in two_hosts.urls] == [401, 401]


def test_limits_and_idempotency_are_one_for_both(two_hosts: TwoHosts, customer: Customer) -> None:
    first, second = two_hosts.urls
    repeated = {"Idempotency-Key": "once"}
    whole = chat(first, customer, say(text="once"), **repeated)
    again = chat(second, customer, say(text="once"), **repeated)
    assert (whole.status_code, again.content) == (200, whole.content)
    assert again.headers["idempotent-replayed"] == "true"

    two_hosts.sandbox.manage(["set_limits", customer.slug, "--requests", "3"])
    wait_until(lambda: "x-ratelimit-limit-requests" in chat(first, customer).headers)
    statuses = [chat(url, customer).status_code for url in two_hosts.urls * 3]
    assert statuses.count(200) <= 2
    assert statuses[-2:] == [429, 429]


def test_a_turn_begun_at_one_is_resumed_at_the_other(
    two_hosts: TwoHosts, customer: Customer
) -> None:
    first, second = (talker(url, customer) for url in two_hosts.urls)
    path = first.conversation(first.agent())
    answer = script(text=" ".join(f"w{n}" for n in range(120)), chunk_ms=20)
    seen = []
    for event in first.events("POST", f"{path}/turns", {"input": answer, "stream": True}):
        seen.append(event)
        if len(seen) == 30:
            break  # its client has dropped
    turn = seen[0]["turn"]["id"]

    rest = second.events(
        "GET", f"{path}/turns/{turn}?stream=true&starting_after={seen[-1]['sequence_number']}"
    )
    events = seen + list(rest)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "turn.completed"
    assert text_of(events).split() == [f"w{n}" for n in range(120)]
    customer.wait_until_settled()
    assert len(customer.books().calls) == 1


def test_a_turn_over_a_websocket_is_followed_and_cancelled_at_the_other(
    two_hosts: TwoHosts, customer: Customer
) -> None:
    first, second = (talker(url, customer) for url in two_hosts.urls)
    agent = first.agent()
    path = first.conversation(agent)
    conversation = path.rpartition("/")[2]
    url = two_hosts.urls[0].replace("http", "ws", 1)
    with connect(f"{url}/v1/agents/{agent['id']}/ws", additional_headers=customer.headers) as ws:
        client = Client(ws)
        slow = script(text=" ".join(["slow"] * 600), chunk_ms=50)
        client.send(type="turn.create", conversation=conversation, input=slow)
        accepted = client.receive()
        client.until("response.output_text.delta")
        follower = second.events("GET", f"{path}/turns/{accepted['turn']}?stream=true")
        seen = list(itertools.islice(follower, 10))
        second.post(f"{path}/turns/{accepted['turn']}/cancel")
        assert client.until("turn.cancelled", "turn.completed")[-1]["type"] == "turn.cancelled"

    assert seen[-1]["sequence_number"] == 9
    customer.wait_until_settled()
    assert len(customer.books().calls) == 1


# --- what moves and dies under calls ----------------------------------------------------


class Callers:
    """Some for each customer, from host to host in turn. told: by slug, request id → cost."""

    def __init__(self, hosts: TwoHosts, customers: list[Customer]) -> None:
        self.told: dict[str, dict[str, int]] = {each.slug: {} for each in customers}
        self.degraded: set[str] = set()
        self.faults: list[str] = []
        self._hosts = hosts
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(2 * len(customers))
        for customer in customers * 2:
            self._pool.submit(self._call, customer)

    def _call(self, customer: Customer) -> None:
        for url in itertools.cycle(self._hosts.urls):
            if self._stopped.is_set():
                return
            answer = chat(url, customer, say(text="a b c"))
            if answer.status_code == 200:
                call = answer.headers["x-request-id"]
                self.told[customer.slug][call] = cost_of(answer)
            elif answer.status_code == 503:
                self.degraded.add(customer.slug)
                time.sleep(0.2)
            else:
                self.faults.append(f"{answer.status_code} {answer.text[:200]}")

    def wait_for_more(self, *customers: Customer, calls: int = 10) -> None:
        begun = {each.slug: len(self.told[each.slug]) for each in customers}
        wait_until(lambda: all(len(self.told[slug]) >= begun[slug] + calls for slug in begun), 60)

    def stop(self) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=True)


def test_calls_go_on_while_slots_move_and_a_master_dies_and_its_replica_takes_over(
    two_hosts: TwoHosts,
) -> None:
    customers = new_customers(two_hosts.sandbox, dict.fromkeys("abcdef", 25 * NUSD))
    mover, lost = customers[0], node_of(two_hosts, customers[0])
    others = [each for each in customers if node_of(two_hosts, each) is not lost]
    assert others, "all of them on one node"
    callers = Callers(two_hosts, customers)
    try:
        callers.wait_for_more(*customers)
        slot = slot_of(two_hosts, mover)
        target = next(each for each in two_hosts.cluster.masters if each is not lost)
        two_hosts.cluster.move(slot, target)
        callers.wait_for_more(*customers)
        two_hosts.cluster.move(slot, lost)
        callers.wait_for_more(*customers)
        assert callers.faults == []

        lost.kill()
        callers.wait_for_more(*others)
        # With or without Redis: PostgreSQL admits until the replica has been told all.
        callers.wait_for_more(*customers)
        wait_until(lambda: slot_is_served(two_hosts, slot))
        wait_for(lambda: all(is_ready(url) for url in two_hosts.urls), timeout_s=90)
        callers.wait_for_more(*customers)
    finally:
        callers.stop()
    assert callers.faults == []
    assert callers.degraded.isdisjoint(each.slug for each in others)
    for customer in customers:
        assert_adds_up(customer, callers.told[customer.slug])
    two_hosts.sandbox.manage(["audit"])


def slot_is_served(hosts: TwoHosts, slot: int) -> bool:
    return hosts.cluster.owner(slot).is_alive()


def is_ready(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    if status_of(port, "/health/ready") != 200:
        return False
    told: Any = json.loads(requests.get(f"{url}/health/ready", timeout=5).content)
    return bool(told["status"] == "ready")
