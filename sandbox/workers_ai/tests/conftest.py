"""Stand-ins as their own processes, one for all scripted tests and one with the local model."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.install import models
from sandbox.workers_ai.settings import DEFAULT_MODEL_FILE, REPOSITORY
from sandbox.workers_ai.tests.client import Caller


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[Caller, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.workers_ai", "--port", "0", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the stand-in did not start"
        yield Caller(found[0]), process
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Caller]:
    """Scripted only; refuses the token "stolen"; wants licences accepted."""
    with running("--scripted-only", "--reject-token", "stolen", "--require-licences") as (it, _):
        yield it


@pytest.fixture(scope="session")
def real() -> Iterator[Caller]:
    """With the local model, ready."""
    if not DEFAULT_MODEL_FILE.exists():
        pytest.skip(f"the local model is not installed: no {DEFAULT_MODEL_FILE.name}")
    with running() as (it, _):
        deadline = time.monotonic() + 60
        while requests.get(f"{it.url}/health", timeout=5).json()["local_model"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield it


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """With the small models, and without the one for text: what needs it is tested elsewhere."""
    if not models.are_installed():
        pytest.skip("the small models are not installed: `make models`")
    absent = tmp_path_factory.mktemp("models") / "absent.gguf"
    with running("--model-file", str(absent)) as (it, _):
        yield it


@pytest.fixture
def no_such_file(tmp_path: Path) -> Path:
    return tmp_path / "absent.gguf"
