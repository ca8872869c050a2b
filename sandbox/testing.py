"""For tests of the product: a whole sandbox, and ways to hurt it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.embedded.ports import free_port
from sandbox.embedded.postgres import TEMPLATE_VARIABLE
from sandbox.stripe import variables
from sandbox.supervisor import product
from sandbox.supervisor.choices import PROJECT
from sandbox.supervisor.folder import read_env_file

# Not passed on from the tests' own environment: what pytest's plugins put there, and
# what a sandbox decides by itself.
OURS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "AGENTFLARE_URL",
    *variables.ALL,
    "DJANGO_SETTINGS_MODULE",
    "MAKELEVEL",
)


@dataclass
class RunningSandbox:
    """`python -m sandbox run` in a process of its own.

    Children are named as in pids.json: postgres, valkey, workers_ai, stripe, web, worker, beat.
    """

    folder: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """demo.env: addresses, key, logins. Empty until the sandbox is ready."""
        return read_env_file(self.folder / "demo.env")

    def pids(self) -> dict[str, int]:
        """Of the supervisor and its children, as they are now."""
        pids: dict[str, int] = json.loads((self.folder / "pids.json").read_text())
        return pids

    def pid(self, name: str) -> int:
        return self.pids()[name]

    def log(self, name: str) -> str:
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def wait_until_ready(self, timeout_s: float = 110.0) -> None:
        """Raises AssertionError with what the supervisor printed if it ends before."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            assert self.process.poll() is None, f"the sandbox ended: {self.process.communicate()}"
            assert time.monotonic() < deadline, "the sandbox is not ready in time"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether its ready block is out; until then demo.env may be of an earlier run."""
        try:
            return self.pid("supervisor") == self.process.pid and bool(self.env)
        except (OSError, KeyError):
            return False

    def kill(self, name: str) -> int:
        """`kill -9` a child; returns the process id it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for_another(self, name: str, than_pid: int, timeout_s: float = 30.0) -> int:
        """Until a child has been started again; returns its new process id."""
        wait_until(lambda: self.pid(name) != than_pid, timeout_s)
        return self.pid(name)

    def manage(self, *commands: Sequence[str]) -> list[str]:
        """Run commands of manage.py on it; returns what each printed.

        Raises AssertionError with that of the last if one fails.
        """
        done = subprocess.run(
            product.manage([list(command) for command in commands]),
            cwd=PROJECT,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = [json.loads(line)[1] for line in done.stdout.splitlines()]
        assert done.returncode == 0, "\n".join([*printed[-1:], done.stderr])
        return printed

    def stop(self, timeout_s: float = 10.0) -> tuple[int, str]:
        """Stop it as Ctrl-C does. Returns its exit status and all it printed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, output


def start_sandbox(
    folder: Path,
    *,
    port: int | None = None,
    project: Path = PROJECT,
    variables: Mapping[str, str] | None = None,
    scripted: bool = True,
) -> RunningSandbox:
    """Start a sandbox and return at once; see `wait_until_ready`.

    scripted: answers come from scripts, no local model is loaded.
    variables: set for it in addition to our own environment, of which OURS is left out.
    """
    port = port or free_port()
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    if project != PROJECT:
        env.pop(TEMPLATE_VARIABLE, None)  # it has other tables, or none
    env |= {"SANDBOX_DIR": str(folder), "PORT": str(port), "SANDBOX_SCRIPTED": str(int(scripted))}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "run", "--project", str(project)],
        cwd=PROJECT,
        env=env | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Not in our terminal's group: a Ctrl-C during the tests is for pytest.
        start_new_session=True,
    )
    return RunningSandbox(folder, port, process)


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Raises AssertionError when the condition does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
