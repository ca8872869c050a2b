"""PostgreSQL and Valkey for one command or one test run, in a folder that goes with it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from sandbox.embedded import start_postgres, start_valkey
from sandbox.embedded.postgres import the_tests_template
from sandbox.supervisor.choices import without_demo_env


@contextmanager
def temporary_services() -> Iterator[dict[str, str]]:
    """Start what the environment does not name; yields the variables to add to it.

    A part whose URL is set already (DATABASE_URL, REDIS_URL) is not started, unless the
    URL came out of a running sandbox's demo.env: tests must not work on its data.
    They do not sync to disk, and die with us. Raises SandboxError.
    """
    given = without_demo_env(os.environ)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentflare-")))
        # mkdtemp closes it to everyone else, and PostgreSQL may run as someone else.
        folder.chmod(0o711)
        added = {}
        if "REDIS_URL" not in given:
            valkey = start_valkey(folder, durable=False)
            stack.callback(valkey.kill)
            added["REDIS_URL"] = valkey.url
        if "DATABASE_URL" not in given:
            postgres = start_postgres(folder, durable=False, template=the_tests_template())
            # Its data is thrown away: no need for a last checkpoint.
            stack.callback(postgres.stop_quickly)
            added["DATABASE_URL"] = postgres.url
        if "SECRET_KEY" not in given:
            added["SECRET_KEY"] = secrets.token_urlsafe(32)
        yield added


def execute(command: Sequence[str]) -> int:
    """Run a command with both services; returns its exit status, as a shell reports it."""
    command = command[1:] if command and command[0] == "--" else command
    if not command:
        print("usage: python -m sandbox exec [--] COMMAND…", file=sys.stderr)
        return 2
    if shutil.which(command[0]) is None:
        print(f"{command[0]}: no such command", file=sys.stderr)
        return 127
    with temporary_services() as added:
        process = subprocess.Popen(command, env=SANDBOX_DEFAULTS | os.environ | added)
        pass_signals_on(process)
        status = process.wait()
    return status if status >= 0 else 128 - status


# Nothing listens at that address: whoever calls upstream by mistake learns of it at once.
SANDBOX_DEFAULTS = {
    "AGENTFLARE_SANDBOX": "1",
    "CLOUDFLARE_ACCOUNT_ID": "sandbox",
    "CLOUDFLARE_API_TOKEN": "sandbox",
    "CLOUDFLARE_BASE_URL": "http://127.0.0.1:9/client/v4",
}


def pass_signals_on(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM goes to the command; a Ctrl-C it has got itself, from the terminal."""

    def pass_on(sign: int, _frame: FrameType | None) -> None:
        process.send_signal(sign)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, lambda *_: None)
