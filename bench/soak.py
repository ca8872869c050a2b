"""`python -m bench soak`: whether the memory of a web worker stays where it is.

Streams of ten seconds, two hundred at once, each followed by another one, for half an hour.
"""

import argparse
import statistics
import sys
import threading
import time

from bench import processes
from bench.books import check_books
from bench.measures import NATIVE_MODEL, Bench
from bench.stack import BenchError, running_stack
from bench.upstream import Pace
from sandbox.errors import SandboxError

_CHUNKS, _INTERVAL_S = 100, 0.1
_SAMPLE_S = 10.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args(arguments)
    try:
        faults = soak(options.minutes, options.streams)
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    return 1 if faults else 0


def soak(minutes: float, streams: int) -> list[str]:
    """Prints the memory of each tenth of the time. Returns what is wrong with the books."""
    processes.allow_many_sockets()
    samples: list[tuple[float, float]] = []
    is_over = threading.Event()
    with running_stack() as stack:
        bench = Bench(stack, key=stack.key)
        bench.set_pace(Pace(chunks=_CHUNKS, interval_s=_INTERVAL_S))

        def watch() -> None:
            began = time.monotonic()
            while not is_over.wait(_SAMPLE_S):
                memory_mb = processes.memory_mb(stack.pids["web"])
                samples.append((time.monotonic() - began, memory_mb))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            seen = bench.streams(
                bench.gateway(NATIVE_MODEL, stream=True),
                streams=streams,
                ramp_s=_CHUNKS * _INTERVAL_S,
                hold_s=60 * minutes,
                events=bench.gateway_events(_CHUNKS),
            )
        finally:
            is_over.set()
            watcher.join()
        books = check_books(stack, bench.told, ended_at=bench.last_answer_at)
    print(f"{seen.told.calls} streams of {_CHUNKS} chunks, {streams} at once, {seen.stalls} stalls")
    for tenth in range(10):
        among = samples[len(samples) * tenth // 10 : len(samples) * (tenth + 1) // 10]
        if among:
            middle = statistics.median(memory_mb for _, memory_mb in among)
            print(f"  from minute {among[0][0] / 60:5.1f}: {middle:.0f} MB")
    print(f"{books.records} booked", *[f"WRONG: {fault}" for fault in books.faults], sep="\n")
    return books.faults
