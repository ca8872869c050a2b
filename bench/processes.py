"""What processes use, and on which core they run. Linux tells; elsewhere it is not known."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")


def cpu_s(pid: int) -> float:
    """Processor time of a process and all below it, dead ones too, in seconds; else 0."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0.0
    # After the name in brackets: user and system time, and those of children waited for.
    ticks = sum(map(int, stat.rpartition(") ")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(cpu_s, children(pid)))


def children(pid: int) -> list[int]:
    try:
        return [int(x) for x in (_PROC / f"{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def memory_mb(pid: int) -> float:
    """Resident memory; 0 where it is not known."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def processor() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def fixed_work_ms() -> float:
    """Processor time of a piece of Python that is always the same.

    On a shared machine it differs from one minute to the next, and all else with it.
    """
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        total = 0
        for number in range(200_000):
            total += number * number % 7
        best = min(best, time.process_time() - started)
    return 1000 * best


def allow_many_sockets() -> None:
    """A thousand streams are two thousand sockets in the web worker; it inherits this."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most > 0 else 65_536, most))


def divide_cores() -> tuple[set[int], set[int]]:
    """(the web worker's own core, everybody else's). The same where there is but one."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    cores = os.sched_getaffinity(0)
    own = {max(cores)}
    return own, cores - own or cores


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on these cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
