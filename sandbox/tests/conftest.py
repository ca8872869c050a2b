"""Sandboxes around a product of a few lines; all of them are gone when a test ends."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.embedded import Postgres, Server, Valkey, start_postgres, start_valkey
from sandbox.embedded.postgres import copy_data
from sandbox.supervisor.folder import write_private
from sandbox.testing import RunningSandbox, start_sandbox
from sandbox.tests.fake_product import write_fake_product

Starter = Callable[..., RunningSandbox]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_fake_product(tmp_path / "product")


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Iterator[Starter]:
    """Start a sandbox around the small product; `folder` and `variables` may be given."""
    started = []

    def start(folder: Path = tmp_path / "data", **variables: str) -> RunningSandbox:
        sandbox = start_sandbox(folder, project=project, variables=variables)
        started.append(sandbox)
        return sandbox

    yield start
    for sandbox in started:
        # Twice: the second one does not wait for anything.
        for _ in range(2):
            with suppress(ProcessLookupError):
                os.kill(sandbox.process.pid, signal.SIGINT)
        sandbox.process.wait(timeout=10)


@pytest.fixture
def ready(start: Starter, new_postgres: Postgres, tmp_path: Path) -> RunningSandbox:
    give_data(tmp_path / "data", new_postgres)
    sandbox = start()
    sandbox.wait_until_ready()
    return sandbox


@pytest.fixture(scope="module")
def running(
    new_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSandbox]:
    """One for tests that only look at it."""
    folder = tmp_path_factory.mktemp("running")
    give_data(folder / "data", new_postgres)
    project = write_fake_product(folder / "product")
    sandbox = start_sandbox(folder / "data", project=project)
    try:
        sandbox.wait_until_ready()
        yield sandbox
    finally:
        sandbox.stop()


def give_data(folder: Path, postgres: Postgres) -> None:
    """PostgreSQL's data as a first start makes it, which takes a second."""
    folder.mkdir()
    copy_data(postgres.folder, folder / "postgres")
    write_private(folder / "state.json", json.dumps({"postgres_password": postgres.password}))


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers put here are killed when the test ends."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        if server.is_alive():
            server.kill()


@pytest.fixture(scope="session")
def new_postgres(tmp_path_factory: pytest.TempPathFactory) -> Postgres:
    """A server whose data was just made; stopped, to be copied: making it takes a second."""
    server = start_postgres(tmp_path_factory.mktemp("new"), durable=False)
    server.stop()
    return server


@pytest.fixture
def postgres(new_postgres: Postgres, tmp_path: Path, servers: list[Server]) -> Postgres:
    copy_data(new_postgres.folder, tmp_path / "postgres")
    server = start_postgres(tmp_path, durable=False, password=new_postgres.password)
    servers.append(server)
    return server


@pytest.fixture
def valkey(tmp_path: Path, servers: list[Server]) -> Valkey:
    server = start_valkey(tmp_path, durable=False)
    servers.append(server)
    return server
