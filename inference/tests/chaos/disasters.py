"""What goes wrong: processes and stores killed, stopped for a while, several at once."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Who is hit, and how often.
VICTIMS = {"web": 4, "worker": 2, "beat": 1, "valkey": 3, "postgres": 3, "workers_ai": 1}


def happen(sandbox: Any, chance: random.Random, *, seconds: float) -> list[str]:
    """Disasters for so long. Returns what happened, a line each; all is running again then."""
    diary = []
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        time.sleep(chance.uniform(0.5, 3))
        names = set(
            chance.choices(list(VICTIMS), list(VICTIMS.values()), k=chance.choice([1, 1, 2]))
        )
        kind = chance.choice([_kill, _kill, _stop_for_a_while])
        for name in sorted(names):
            diary.append(f"{kind.__name__.strip('_')} {name}")
        with contextlib.ExitStack() as stack:
            for name in sorted(names):
                with contextlib.suppress(ProcessLookupError, KeyError, FileNotFoundError):
                    stack.enter_context(kind(sandbox, name))
            time.sleep(chance.choice([0.3, 1, 4]))
    return diary


@contextlib.contextmanager
def _kill(sandbox: Any, name: str) -> Iterator[None]:
    """`kill -9` of a process and all its children: nobody ends anything in order."""
    family = family_of(sandbox.pid(name))
    for pid in family:
        _signal(pid, signal.SIGKILL)
    yield
    sandbox.wait_for_another(name, than_pid=family[0])


@contextlib.contextmanager
def _stop_for_a_while(sandbox: Any, name: str) -> Iterator[None]:
    """It stands still: connections to it stay open and nothing comes back."""
    family = family_of(sandbox.pid(name))
    for pid in family:
        _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in family:
            _signal(pid, signal.SIGCONT)


def family_of(pid: int) -> list[int]:
    """The process and its descendants, itself first."""
    family = [pid]
    for member in family:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{member}/task/{member}/children").read_text().split()
            family += [int(child) for child in children]
    return family


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
