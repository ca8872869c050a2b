"""All that is measured: PostgreSQL, Valkey, one web worker, Celery, and the bench's upstream.

The product's own processes and commands, with its own settings; both stores sync to disk as
in production. Everything listens on 127.0.0.1 and goes with us.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from sandbox.embedded import start_postgres, start_valkey
from sandbox.embedded.children import ended_within, kill_group, spawn
from sandbox.embedded.ports import HOST, free_port

PROJECT = Path(__file__).resolve().parent.parent
TENANT = "bench"
GRANT_USD = 1_000_000
_START_S = 60.0
_STOP_S = 10.0


class BenchError(Exception):
    """The bench cannot go on; the text says why."""


@dataclass
class Served:
    """A gateway that runs, and its upstream. pids: web (its one worker), upstream, and others."""

    folder: Path
    environment: dict[str, str]
    upstream_port: int
    web_port: int
    pids: dict[str, int]

    def start(self, name: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return spawn(
                command,
                cwd=PROJECT,
                env=self.environment,
                output=log,
                death_signal=signal.SIGTERM,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


@dataclass
class Stack(Served):
    """All of ours. pids: also postgres, valkey, worker, beat."""

    key: str = ""

    def manage(self, *arguments: str) -> str:
        """Run a command of the product; returns what it printed. Raises BenchError."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"manage.py {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        return self.start(name, [sys.executable, "-m", *arguments])


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Raises BenchError or SandboxError when something does not start."""
    own_core, other_cores = processes.divide_cores()
    with ExitStack() as exits:
        exits.enter_context(processes.on_cores(other_cores))
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="agentflare-bench-")))
        folder.chmod(0o711)  # PostgreSQL may run as someone else
        valkey = start_valkey(folder)
        exits.callback(valkey.kill)
        postgres = start_postgres(folder)
        exits.callback(postgres.stop_quickly)

        upstream_port, web_port = free_port(), free_port()
        stack = Stack(
            folder=folder,
            environment=environment(postgres.url, valkey.url, upstream_port),
            upstream_port=upstream_port,
            web_port=web_port,
            pids={"postgres": postgres.pid, "valkey": valkey.pid},
        )
        stack.manage("upgrade")
        stack.manage("create_tenant", TENANT)
        stack.manage("grant_credit", TENANT, str(GRANT_USD))
        stack.key = json.loads(stack.manage("create_api_key", TENANT, "--json"))["key"]

        for name, command in commands(upstream_port).items():
            process = stack.python(name, *command)
            exits.callback(stop, process)
            stack.pids[name] = process.pid
        with processes.on_cores(own_core):
            web = stack.python("web", *web_command(web_port))
        exits.callback(stop, web)
        wait_until_ready(stack, web, "/health/ready")
        # The arbiter only watches; what serves is its child.
        stack.pids["web"] = next(iter(processes.children(web.pid)), web.pid)
        yield stack


def environment(database_url: str, redis_url: str, upstream_port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": secrets.token_urlsafe(32),
        "CLOUDFLARE_BASE_URL": f"http://{HOST}:{upstream_port}/client/v4",
        "CLOUDFLARE_ACCOUNT_ID": "bench",
        "CLOUDFLARE_API_TOKEN": "bench",
        "AGENTFLARE_SANDBOX": "1",
        "WEB_CONCURRENCY": "1",
        "WEB_GRACEFUL_TIMEOUT_S": "2",
    }


def commands(upstream_port: int) -> dict[str, Sequence[str]]:
    celery = ["celery", "-A", "agentflare"]
    return {
        "upstream": ["bench.upstream", str(upstream_port)],
        "worker": [*celery, "worker", "-c", "2", "-l", "WARNING", "--without-mingle"],
        "beat": [*celery, "beat", "-S", "celery.beat.Scheduler", "--pidfile=", "-l", "WARNING"],
    }


def web_command(port: int) -> Sequence[str]:
    options = ["-c", "agentflare/gunicorn.py", "--bind", f"{HOST}:{port}"]
    return ["gunicorn", "agentflare.wsgi:application", *options]


def wait_until_ready(served: Served, web: "subprocess.Popen[bytes]", path: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{served.web_port}{path}"):
                return
        except OSError:
            if web.poll() is not None or time.monotonic() > deadline:
                log = served.log("web")[-4000:]
                raise BenchError(f"the web server does not start: {log}") from None
        time.sleep(0.05)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    if not ended_within(process, _STOP_S):
        kill_group(process)
