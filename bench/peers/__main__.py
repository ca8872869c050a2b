"""`python -m bench peers`: ours and its peers, each alone in turn on the same cores, with the same
upstream. Installs LiteLLM's proxy and Portkey's gateway the first time, below `.peers/`.

Ours runs with all that it does: keys, limits, holds, capture, settlement. The peers meter
nothing, see `bench/peers/gateways.py`. Each has one process and a core for it; upstream, load
and whatever else belongs to a gateway share the others.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from bench import processes
from bench.measures import (
    NATIVE_MODEL,
    Bench,
    Latency,
    StreamLoad,
    Throughput,
    measure_latency,
    measure_streams,
    measure_throughput,
)
from bench.peers.gateways import PEERS
from bench.peers.stack import running_peer
from bench.stack import BenchError, running_stack
from sandbox.errors import SandboxError

OURS = "AgentFlare"


@dataclass(frozen=True)
class Plan:
    rounds: int = 3
    round_s: float = 3.0
    throughput_s: float = 6.0
    streams: tuple[int, ...] = (200, 1000)
    chunks: int = 100
    interval_s: float = 0.1
    hold_s: float = 6.0


TINY = Plan(
    rounds=1, round_s=0.3, throughput_s=0.5, streams=(5,), chunks=4, interval_s=0.05, hold_s=0.2
)


@dataclass(frozen=True)
class Found:
    """memory_mb: of the process that serves, before the first call and after the last one."""

    name: str
    latency: list[Latency]
    throughput: Throughput
    streams: list[StreamLoad]
    failures: list[str]
    memory_mb: tuple[float, float]
    fixed_work_ms: list[float]


def main(arguments: list[str]) -> int:
    names = [OURS.lower(), *(peer.name.lower() for peer in PEERS)]
    parser = argparse.ArgumentParser(
        prog="python -m bench peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--tiny", action="store_true", help="as little of all as possible")
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    options = parser.parse_args(arguments)
    allow = set(options.only or names)
    plan = TINY if options.tiny else Plan()
    try:
        found = [measure(name, start, plan) for name, start in gateways() if name.lower() in allow]
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps([asdict(x) for x in found], indent=2) if options.json else as_text(found))
    return 0


def gateways() -> Iterator[tuple[str, Callable[[], object]]]:
    yield OURS, running_ours
    for peer in PEERS:
        yield peer.name, lambda peer=peer: running_peer(peer)


@contextmanager
def running_ours() -> Iterator[Bench]:
    with running_stack() as stack:
        yield Bench(stack, key=stack.key)


def measure(name: str, start: Callable[[], object], plan: Plan) -> Found:
    """Raises BenchError where it does not start."""
    print(f"… {name}", file=sys.stderr)
    with start() as bench:
        before_mb = processes.memory_mb(bench.stack.pids["web"])
        latency = [
            measure_latency(
                bench,
                connections=connections,
                delay_s=delay_s,
                rounds=plan.rounds,
                for_s=plan.round_s,
            )
            for connections, delay_s in ((1, 0.0), (32, 0.1))
        ]
        throughput = measure_throughput(
            bench, connections=64, rounds=plan.rounds, for_s=plan.throughput_s
        )
        streams = [
            measure_streams(
                bench,
                model=NATIVE_MODEL,
                streams=count,
                chunks=plan.chunks,
                interval_s=plan.interval_s,
                hold_s=plan.hold_s,
            )
            for count in plan.streams
        ]
        return Found(
            name=name,
            latency=latency,
            throughput=throughput,
            streams=streams,
            failures=bench.told.failures,
            memory_mb=(before_mb, processes.memory_mb(bench.stack.pids["web"])),
            fixed_work_ms=bench.fixed_work_ms,
        )


# --- as text ------------------------------------------------------------------------

# (what it is, how to write it, whether less is better)
_Row = tuple[str, Callable[[Found], float], str, bool]


def rows(found: list[Found]) -> list[_Row]:
    single, many = 0, 1
    table: list[_Row] = [
        ("added to a call, p50", lambda x: x.latency[single].added_p50_ms, "{:.2f} ms", True),
        ("… p99", lambda x: x.latency[single].added_p99_ms, "{:.2f} ms", True),
        (
            "32 calls at once of 100 ms, p50",
            lambda x: x.latency[many].added_p50_ms,
            "{:.1f} ms",
            True,
        ),
        ("… p99", lambda x: x.latency[many].added_p99_ms, "{:.1f} ms", True),
        ("calls a second, one process", lambda x: x.throughput.calls_per_s, "{:.0f}", False),
        ("… of its processor time", lambda x: x.throughput.calls_per_cpu_s, "{:.0f}", False),
        ("… p99 meanwhile", lambda x: x.throughput.p99_ms, "{:.0f} ms", True),
    ]
    for index, load in enumerate(found[0].streams):
        table += _stream_rows(index, load.streams)
    return [
        *table,
        ("memory at first", lambda x: x.memory_mb[0], "{:.0f} MB", True),
        ("… at the end", lambda x: x.memory_mb[1], "{:.0f} MB", True),
    ]


def _stream_rows(index: int, streams: int) -> list[_Row]:
    def of(name: str) -> Callable[[Found], float]:
        return lambda found: float(getattr(found.streams[index], name))

    per_cpu_s: Callable[[Found], float] = lambda x: 1e6 / x.streams[index].web_cpu_us_per_chunk  # noqa: E731
    return [
        (
            f"{streams} streams: first token p50",
            of("added_first_token_p50_ms"),
            "{:.1f} ms",
            True,
        ),
        ("… p99", of("added_first_token_p99_ms"), "{:.1f} ms", True),
        ("… chunks a second", of("chunks_per_s"), "{:.0f}", False),
        ("… chunks a second of its processor time", per_cpu_s, "{:.0f}", False),
        ("… stalls of a second", of("stalls"), "{:.0f}", True),
        ("… longest gap", of("longest_gap_ms"), "{:.0f} ms", True),
        ("… failed", of("failed"), "{:.0f}", True),
        ("… memory", of("web_memory_mb"), "{:.0f} MB", True),
    ]


def as_text(found: list[Found]) -> str:
    """A table in Markdown. Ratios are how many times better the first one is."""
    others = found[1:]
    names = [x.name for x in found] + [f"× {x.name}" for x in others]
    lines = [
        " | ".join(["", "", *names, ""]).strip(),
        "|" + "---|" * (len(names) + 1),
    ]
    for label, value, form, less_is_better in rows(found):
        values = [value(x) for x in found]
        ratios = [
            _ratio(other / values[0] if less_is_better else values[0] / other)
            if values[0] > 0 < other
            else "–"
            for other in values[1:]
        ]
        lines.append(f"| {' | '.join([label, *(form.format(v) for v in values), *ratios])} |")
    for x in found:
        lines.append("")
        lines.append(
            f"{x.name}: a fixed piece of work took {min(x.fixed_work_ms):.1f} to "
            f"{max(x.fixed_work_ms):.1f} ms meanwhile; {len(x.failures)} calls failed"
            + (f", such as: {x.failures[0]}" if x.failures else "")
        )
    return "\n".join(lines)


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
