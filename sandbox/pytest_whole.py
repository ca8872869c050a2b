"""Whole sandboxes that tests hurt. To start one takes longer than most of what is done to it, so
several tests have the same: each leaves it whole, and has customers of its own."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from sandbox.embedded.cluster import ValkeyCluster, start_valkey_cluster
from sandbox.embedded.postgres import Postgres, start_postgres
from sandbox.embedded.valkey import Valkey, start_valkey
from sandbox.supervisor.ready import status_of
from sandbox.testing import RunningSandbox, start_sandbox, wait_until


@pytest.fixture(scope="session")
def _own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    sandbox = start_sandbox(tmp_path_factory.mktemp("own") / "sandbox")
    try:
        sandbox.wait_until_ready()
        yield sandbox
    finally:
        sandbox.stop()


@pytest.fixture
def own_sandbox(_own_sandbox: RunningSandbox) -> RunningSandbox:
    """With stores of its own, all of which the supervisor starts again when they are killed."""
    wait_until_whole(_own_sandbox)
    return _own_sandbox


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


def wait_until_whole(sandbox: RunningSandbox) -> None:
    wait_until(lambda: status_of(sandbox.port, "/health/ready") == 200)
