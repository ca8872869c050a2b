"""Starting processes that never outlive us, whatever happens to us."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launch.py")

# Linux: the kernel signals a child when its starter dies. Elsewhere a watcher does.
KERNEL_WATCHES = sys.platform == "linux"


@dataclass(frozen=True)
class Account:
    """Whom to run a child as. capability: a Linux capability it keeps, by number."""

    uid: int
    gid: int
    capability: int | None = None


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    output: int | IO[bytes] = subprocess.DEVNULL,
    errors: int | IO[bytes] = subprocess.STDOUT,
    death_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
    readable: Sequence[Path] = (),
    keep_fds: Sequence[int] = (),
    kernel_watches: bool = KERNEL_WATCHES,
) -> subprocess.Popen[bytes]:
    """Start a program in its own session; it gets `death_signal` when we die.

    output, errors: where its standard output and error go; errors to output unless told.

    cwd, readable: must be reachable by `account`, else the program ends at once with
        status 1 and says so.
    keep_fds: file descriptors of ours that it inherits.
    Call it from the main thread: Linux counts the end of the starting *thread* as our
    death.
    """
    leash = None if kernel_watches else leash_fd()
    spec = {
        "parent": os.getpid(),
        "death_signal": int(death_signal),
        "leash": leash,
        "cwd": str(cwd),
        "readable": [str(path) for path in readable],
        "account": asdict(account) if account else None,
    }
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(spec), *map(str, argv)],
        env=dict(env),
        stdin=stdin,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        pass_fds=[*keep_fds, *([leash] if leash is not None else [])],
    )


@cache
def leash_fd() -> int:
    """Reading end of a pipe that ends when this process does; its other end stays here."""
    reading_end, _ = os.pipe()
    return reading_end


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what a child left behind (a gunicorn worker, say), and the child itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def ended_within(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(max(timeout_s, 0))
    except subprocess.TimeoutExpired:
        return False
    return True


def tail(log: Path, size: int = 4000) -> list[str]:
    """The last lines of a log; none if it is not there."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - size))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()]
