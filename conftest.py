"""The fixed cast of all tests, and the running gateway.

PostgreSQL and Valkey are real (sandbox.pytest_services starts them). Every test has tenants of
its own, made from the template in some 30 ms, so nothing is rolled back or flushed: acme has
credit, globex must never see acme's things.
"""

import logging
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

from sandbox.embedded.cluster import ValkeyCluster
from sandbox.embedded.valkey import Valkey, start_valkey
from sandbox.stripe.tests import stand_in
from sandbox.stripe.tests.stand_in import StandIn
from sandbox.testing import RunningSandbox, start_sandbox, wait_until

USD = 1_000_000_000

pytest_plugins = ["agentflare.tests.browser", "sandbox.pytest_whole"]


@dataclass
class Cast:
    """A tenant, its owner and its key."""

    tenant: Any
    key: str
    owner: Any
    password: str = "correct-horse-1"

    @property
    def code(self) -> str:
        return str(self.tenant.code)

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


# Whoever has one of these stops servers, and waits until they are missed and found again.
HURT = {"own_redis", "own_cluster", "own_sandbox", "own_stores", "two_hosts"}
ROOT = Path(__file__).parent
# Folders and files of tests whose subject is that no call is lost or charged twice.
MONEY = {"billing", "chaos", "test_kill.py", "test_kill_while_paying.py", "test_degraded.py"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: one more than there are cores, for much of it is waiting: for browsers, for a
    server to be missed, for what runs every second. None: as the environment says."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks by which `make test-fast` chooses; they follow from what a test asks for.

    What waits for a dozen processes may fail by a machine that is too busy: it is tried once more,
    and told as RERUN. Not where money is: nothing there may fail once.

    Shared out by pytest-xdist, files with what takes long come first: else one worker would be at
    them when the others are done.
    """
    seen = set()
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if {"gateway", "_running_sandbox"} & fixtures:
            item.add_marker(pytest.mark.gateway)
        if HURT & fixtures:
            item.add_marker(pytest.mark.slow)
        if {"gateway", "slow"} & {mark.name for mark in item.iter_markers()} and not (
            MONEY & set(item.path.relative_to(ROOT).parts)
        ):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))
        name = item.nodeid.partition("[")[0]
        if name in seen:
            item.add_marker(pytest.mark.variation)
        seen.add(name)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    marks = [item.get_closest_marker(name) for name in ("slow", "gateway")]
    return next((turn for turn, mark in enumerate(marks) if mark), len(marks))


@pytest.fixture(scope="session", autouse=True)
def _database(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """One database for the whole run, upgraded as a deployment would."""
    # Argon2 as in production, so that the running gateway can verify it, but cheap.
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost = 1, 64
    with django_db_blocker.unblock():
        call_command("upgrade", stdout=StringIO())
        yield
    # The thread that renews holds outlives the stores, and pytest's streams.
    logging.raiseExceptions = False


def make_cast(name: str, *, credit_nusd: int) -> Cast:
    from billing.ledger.services import grant_credit
    from tenants.keys.services import create_api_key
    from tenants.registry.services import create_tenant
    from tenants.users.models import User

    slug = f"{name}-{uuid.uuid4().hex[:8]}"
    email = f"owner@{slug}.test"
    tenant = create_tenant(
        slug=slug, name=name.title(), owner_email=email, owner_password=Cast.password
    )
    if credit_nusd:
        grant_credit(tenant=tenant, amount_nusd=credit_nusd, reference="test", actor="test")
    _, key = create_api_key(tenant=tenant, name="test", actor="test")
    return Cast(tenant=tenant, key=key, owner=User.objects.get(email=email))


@pytest.fixture
def acme(_database: None) -> Cast:
    """Has $25 of credit and one key."""
    return make_cast("acme", credit_nusd=25 * USD)


@pytest.fixture
def globex(_database: None) -> Cast:
    """Another tenant, with $25 of its own."""
    return make_cast("globex", credit_nusd=25 * USD)


@dataclass
class Gateway:
    """The whole product, running: web, worker, beat, and the stand-in for Workers AI."""

    sandbox: RunningSandbox
    casts: list[Cast] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.sandbox.url

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def cast(self, *, credit_nusd: int = 25 * USD, name: str = "acme") -> Cast:
        return make_cast(name, credit_nusd=credit_nusd)

    def post(self, cast: Cast, path: str, body: Any, **options: Any) -> requests.Response:
        url = f"{self.base_url}/{path}"
        headers = {**cast.auth, **options.pop("headers", {})}
        return requests.post(url, json=body, headers=headers, timeout=30, **options)

    def chat(self, cast: Cast, text: str, **params: Any) -> requests.Response:
        body = {
            "model": "llama-3.3-70b-fast",
            "messages": [{"role": "user", "content": text}],
            **params,
        }
        return self.post(cast, "chat/completions", body)

    def upstream_calls(self, match: str) -> list[dict[str, Any]]:
        """What the stand-in was asked whose body has this text in it."""
        standin = self.sandbox.env["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4")
        answer = requests.get(f"{standin}/__sandbox/calls", params={"match": match}, timeout=5)
        calls = answer.json()
        return list(calls["calls"] if isinstance(calls, dict) else calls)


@pytest.fixture
def stripe_stand_in(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A Stripe of this test's own, in this process; nobody takes its webhooks."""
    # Before the client asks once more: half a second and longer otherwise.
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.02)
    with stand_in.running() as running:
        settings.STRIPE_SECRET_KEY = stand_in.SECRET_KEY
        settings.STRIPE_WEBHOOK_SECRET = stand_in.WEBHOOK_SECRET
        settings.STRIPE_API_BASE = running.url
        yield running


@pytest.fixture(scope="session")
def _running_sandbox(
    _database: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSandbox]:
    """On the tests' PostgreSQL, but on a Redis database of its own: its worker must not
    settle what a test of the ledger wants to settle itself."""
    from django.conf import settings

    sandbox = start_sandbox(
        tmp_path_factory.mktemp("gateway"),
        variables={
            "DATABASE_URL": os.environ["DATABASE_URL"],
            "REDIS_URL": gateway_redis_url(),
            "CELERY_BROKER_URL": f"{os.environ['REDIS_URL'].rpartition('/')[0]}/5",
            "WEB_CONCURRENCY": "2",
            # Tests serve images themselves.
            "REMOTE_IMAGE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "CLOUDFLARE_GATEWAY_ID": "agentflare",
            "CATALOGUE_REFRESH_S": "1",
            # Tests store upstreams' tokens, which are encrypted under it.
            "SECRET_KEY": settings.SECRET_KEY,
        },
    )
    sandbox.wait_until_ready()
    wait_until(lambda: "beat" in sandbox.pids())
    os.kill(sandbox.pid("beat"), signal.SIGSTOP)
    yield sandbox
    os.kill(sandbox.pid("beat"), signal.SIGCONT)
    sandbox.stop()


@pytest.fixture
def own_redis(tmp_path: Path, settings: Any) -> Iterator[Valkey]:
    """A Valkey that a test may stop, pause and start again: the gate of this process."""
    server = start_valkey(tmp_path)
    settings.REDIS_URL = server.url
    forget_redis()
    yield server
    with suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGCONT)
    server.stop_quickly()
    settings.REDIS_URL = os.environ["REDIS_URL"]
    forget_redis()


@pytest.fixture
def own_cluster(_valkey_cluster: ValkeyCluster, settings: Any) -> Iterator[ValkeyCluster]:
    """A cluster of three nodes, and no replicas, as the gate of this process. A test may kill its
    nodes, and move its slots; the next one has it whole."""
    _valkey_cluster.make_whole()
    settings.REDIS_URL = _valkey_cluster.url
    forget_redis()
    yield _valkey_cluster
    _valkey_cluster.make_whole()
    forget_nodes()
    settings.REDIS_URL = os.environ["REDIS_URL"]
    forget_redis()


def gateway_redis_url() -> str:
    return f"{os.environ['REDIS_URL'].rpartition('/')[0]}/4"


@pytest.fixture
def gateway(_running_sandbox: RunningSandbox, settings: Any) -> Iterator[Gateway]:
    """Services that a test calls itself talk to the gateway's Redis meanwhile.

    Its beat stands still while other tests run: what it starts is for all tenants there are, and
    would roll up, mail and look after what those tests want to do themselves.
    """
    own_url = settings.REDIS_URL
    settings.REDIS_URL = gateway_redis_url()
    forget_redis()
    beat = _running_sandbox.pid("beat")
    os.kill(beat, signal.SIGCONT)
    yield Gateway(_running_sandbox)
    os.kill(beat, signal.SIGSTOP)
    # Before it is forgotten: a thread of this process may ask for it at any moment.
    settings.REDIS_URL = own_url
    forget_redis()


def forget_nodes() -> None:
    from agentflare.redis_store import get_redis

    for node in get_redis().masters():
        node.breaker.ask()


def forget_redis() -> None:
    from agentflare.redis_store import breaker, get_redis, is_clustered
    from billing.admission import live_holds, outage
    from billing.admission.gate import script
    from tenants.keys.lookup import forget_all

    get_redis.cache_clear()
    script.cache_clear()
    forget_all()
    with live_holds.at_work:  # it may be at the one before, and find it gone
        live_holds.forget_all()
        outage.forget()
    if not is_clustered():
        breaker.ask()
