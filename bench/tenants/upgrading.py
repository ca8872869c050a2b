"""All schemas get a column and an index from code of the next release, which is killed half-way and
started again, while this release's web process serves calls."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import requests

from bench.stack import PROJECT, BenchError, environment, stop, web_command
from sandbox.embedded.children import spawn
from sandbox.embedded.ports import HOST, free_port
from tenants.keys.services import create_api_key
from tenants.registry.models import Tenant
from tenants.registry.schemas import migrations_fingerprint

_JOBS = 4
_CALLERS = 2
_CALLED = 10
_BEFORE_S = 5.0
_WAIT_S = 120.0
_MODEL = "llama-3.3-70b-fast"


@dataclass
class Calls:
    """What callers saw: milliseconds of each answer, and what was not 200."""

    took_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        p99 = quantiles(self.took_ms, n=100)[98] if len(self.took_ms) > 1 else self.took_ms[0]
        return (
            f"{len(self.took_ms)} calls, {len(self.failures)} failed; ms: "
            f"p50 {median(self.took_ms):.1f}, p99 {p99:.1f}, longest {max(self.took_ms):.1f}"
        )


@dataclass
class Upgrade:
    """killed_after: schemas that were at the new version when the first run was killed."""

    killed_after: int
    took_s: float
    before: Calls
    meanwhile: Calls


def upgrade_under_calls(tenants: list[Tenant], folder: Path) -> Upgrade:
    """Raises BenchError where it does not end well."""
    keys = [
        create_api_key(tenant=each, name="bench", actor="bench")[1] for each in tenants[:_CALLED]
    ]
    with running_web(folder) as url, calling(url, keys) as calls:
        time.sleep(_BEFORE_S)
        before, calls.seen = calls.seen, Calls()
        started = time.monotonic()
        killed = start_upgrade()
        deadline = started + _WAIT_S
        while (done := _done()) < len(tenants) / 2 and killed.poll() is None:
            if time.monotonic() > deadline:
                raise BenchError("the upgrade does not get on")
            time.sleep(0.02)
        killed.kill()
        killed.wait()
        done = _done()
        again = start_upgrade()
        output, _ = again.communicate()
        took_s = time.monotonic() - started
        meanwhile = calls.seen
    if again.returncode or _done() != len(tenants):
        raise BenchError(f"after the upgrade {_done()} of {len(tenants)}: {output.decode()}")
    return Upgrade(done, took_s, before, meanwhile)


def _done() -> int:
    return Tenant.objects.exclude(schema_version=migrations_fingerprint()).count()


def start_upgrade() -> "subprocess.Popen[bytes]":
    release = {
        "DJANGO_SETTINGS_MODULE": "bench.releases.settings",
        "BENCH_RELEASE": "expanded",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate_tenants", "--jobs", str(_JOBS)],
        cwd=PROJECT,
        env=os.environ | release,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def running_web(folder: Path) -> Iterator[str]:
    """This release's web process, and an upstream. Its address."""
    upstream_port, port = free_port(), free_port()
    env = os.environ | environment(
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"], upstream_port
    )
    env["SECRET_KEY"] = os.environ["SECRET_KEY"]
    commands = (("bench.upstream", str(upstream_port)), web_command(port))
    with ExitStack() as exits, (folder / "web.log").open("wb") as log:
        for command in commands:
            argv = [sys.executable, "-m", *command]
            exits.callback(stop, spawn(argv, cwd=PROJECT, env=env, output=log))
        deadline = time.monotonic() + _WAIT_S
        while not _is_ready(f"http://{HOST}:{port}"):
            if time.monotonic() > deadline:
                raise BenchError("the web process does not start")
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/health/ready", timeout=10).status_code == 200
    except requests.RequestException:
        return False


class _Callers:
    def __init__(self, url: str, keys: list[str]) -> None:
        self.seen = Calls()
        self._url, self._keys = f"{url}/v1/chat/completions", keys
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(_CALLERS)
        ]

    def _call(self, number: int) -> None:
        body = {"model": _MODEL, "messages": [{"role": "user", "content": "Hello"}]}
        with requests.Session() as session:
            while not self._is_over.wait(0.02):
                number += 1
                key = self._keys[number % len(self._keys)]
                started = time.perf_counter()
                try:
                    answer = session.post(
                        self._url,
                        json=body,
                        headers={"Authorization": f"Bearer {key}"},
                        timeout=30,
                    )
                    failure = "" if answer.ok else f"{answer.status_code} {answer.text[:200]}"
                except requests.RequestException as exc:
                    failure = repr(exc)
                seen = self.seen
                seen.took_ms.append(1000 * (time.perf_counter() - started))
                if failure:
                    seen.failures.append(failure)

    def __enter__(self) -> "_Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


calling = _Callers
