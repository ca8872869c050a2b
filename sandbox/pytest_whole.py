"""Whole sandboxes that tests hurt. To start one takes longer than most of what is done to it, so
several tests have the same: each leaves it whole, and has customers of its own."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from sandbox.embedded import children
from sandbox.embedded.cluster import ValkeyCluster, start_valkey_cluster
from sandbox.embedded.ports import free_port
from sandbox.embedded.postgres import Postgres, start_postgres
from sandbox.embedded.valkey import Valkey, start_valkey
from sandbox.supervisor import product
from sandbox.supervisor.choices import PROJECT
from sandbox.supervisor.ready import status_of
from sandbox.testing import RunningSandbox, start_sandbox, wait_until


@pytest.fixture(scope="session")
def _own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    sandbox = start_sandbox(tmp_path_factory.mktemp("own") / "sandbox")
    try:
        sandbox.wait_until_ready()
        yield sandbox
    finally:
        tell_beat(sandbox, signal.SIGCONT)
        sandbox.stop()


@pytest.fixture
def own_sandbox(_own_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    """With stores of its own, all of which the supervisor starts again when they are killed.

    Its beat, and so its worker, rest while other tests run.
    """
    tell_beat(_own_sandbox, signal.SIGCONT)
    wait_until_whole(_own_sandbox)
    yield _own_sandbox
    tell_beat(_own_sandbox, signal.SIGSTOP)


def tell_beat(sandbox: RunningSandbox, sign: int) -> None:
    with suppress(OSError, KeyError):  # one that a test has killed starts when it can
        os.kill(sandbox.pid("beat"), sign)


@dataclass
class OwnStores:
    """A sandbox on a PostgreSQL and a Valkey that a test may stop, pause and start again."""

    sandbox: RunningSandbox
    postgres: Postgres
    valkey: Valkey


@pytest.fixture(scope="module")
def _own_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStores]:
    folder = tmp_path_factory.mktemp("stores")
    postgres = start_postgres(folder)
    valkey = start_valkey(folder)
    sandbox = start_sandbox(
        folder / "sandbox",
        variables={
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "SPOOL_DIR": str(folder / "spool"),
        },
    )
    try:
        sandbox.wait_until_ready()
        yield OwnStores(sandbox, postgres, valkey)
    finally:
        sandbox.stop()
        for server in (valkey, postgres):
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGCONT)
            server.stop_quickly()


@pytest.fixture
def own_stores(_own_stores: OwnStores) -> OwnStores:
    wait_until_whole(_own_stores.sandbox)
    return _own_stores


@pytest.fixture(scope="session")
def _valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = start_valkey_cluster(tmp_path_factory.mktemp("cluster"), durable=False)
    try:
        yield cluster
    finally:
        cluster.stop_quickly()


@dataclass
class TwoHosts:
    """The product on a Redis Cluster, with a second web host beside the sandbox's own."""

    sandbox: RunningSandbox
    cluster: ValkeyCluster
    second: str

    @property
    def urls(self) -> tuple[str, str]:
        return self.sandbox.url, self.second


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """Of this module's own: its nodes have replicas, and are killed."""
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as exits:
        cluster = start_valkey_cluster(folder / "cluster", with_replicas=True)
        exits.callback(cluster.stop_quickly)
        broker = start_valkey(folder)
        exits.callback(broker.stop_quickly)
        urls = {"REDIS_URL": cluster.url, "CELERY_BROKER_URL": broker.url}
        sandbox = start_sandbox(folder / "sandbox", variables=urls)
        exits.callback(sandbox.stop)
        sandbox.wait_until_ready()
        # As another machine would have it: its own disk, the same stores and secrets.
        environment = {**os.environ, **sandbox.env, "SPOOL_DIR": str(folder / "spool")}
        port = free_port()
        with (folder / "second.log").open("wb") as log:
            second = children.spawn(
                product.web(port),
                cwd=PROJECT,
                env={**environment, "WEB_CONCURRENCY": "1"},
                output=log,
                death_signal=signal.SIGTERM,
            )
        exits.callback(children.kill_group, second)
        wait_until(lambda: status_of(port, "/health/ready") == 200)
        yield TwoHosts(sandbox, cluster, f"http://127.0.0.1:{port}")


def wait_until_whole(sandbox: RunningSandbox) -> None:
    wait_until(lambda: status_of(sandbox.port, "/health/ready") == 200)
