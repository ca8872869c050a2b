"""`python -m bench [--json] [--quick]`: the whole bench in under three minutes.

`python -m bench estimates`: whether estimates of prompt tokens hold; another two minutes.
`python -m bench settlement`: how fast captured calls get into the ledger; a minute.
`python -m bench size`: one tenant with ten million usage records; five minutes.
`python -m bench tenants`: two hundred tenants, as operators have to do with them; three minutes.
`python -m bench peers`: LiteLLM and Portkey on the same cores; eight minutes, and two to install.
`python -m bench crowd`: one tenant with all calls against sixteen that share them; a minute.
`python -m bench soak`: whether memory stays, in half an hour of streams.
`python -m bench agents`: long histories, idle WebSockets, resumed streams; two minutes.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench import processes
from bench.books import Books, check_books
from bench.measures import (
    NATIVE_MODEL,
    OPENAI_MODEL,
    Bench,
    Latency,
    StreamLoad,
    Throughput,
    measure_latency,
    measure_streams,
    measure_throughput,
)
from bench.stack import BenchError, running_stack
from sandbox.errors import SandboxError


@dataclass(frozen=True)
class Plan:
    """How much is measured. Streams: (how many, whose form)."""

    latencies: tuple[tuple[int, float], ...] = ((1, 0.0), (32, 0.0), (32, 0.1))
    rounds: int = 3
    round_s: float = 2.0
    saturating_connections: int = 64
    throughput_s: float = 4.0
    streams: tuple[tuple[int, tuple[str, str]], ...] = ((200, NATIVE_MODEL), (1000, NATIVE_MODEL))
    chunks: int = 100
    interval_s: float = 0.1
    hold_s: float = 6.0


# A minute's look while working on something.
QUICK = Plan(rounds=1, streams=((1000, NATIVE_MODEL),), chunks=50, hold_s=4.0)
# For the test of the bench itself.
TINY = Plan(
    latencies=((1, 0.0),),
    rounds=1,
    round_s=0.3,
    saturating_connections=4,
    throughput_s=0.5,
    streams=((5, NATIVE_MODEL), (5, OPENAI_MODEL)),
    chunks=4,
    interval_s=0.05,
    hold_s=0.2,
)


@dataclass(frozen=True)
class Findings:
    machine: dict[str, Any]
    latency: list[Latency]
    throughput: Throughput
    streams: list[StreamLoad]
    books: Books
    took_s: float


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["estimates"]:
        from bench.estimates.__main__ import main as estimates

        return estimates(arguments[1:])
    if arguments[:1] == ["settlement"]:
        from bench.settlement.__main__ import main as settlement

        return settlement(arguments[1:])
    if arguments[:1] == ["size"]:
        from bench.size.__main__ import main as size

        return size(arguments[1:])
    if arguments[:1] == ["tenants"]:
        from bench.tenants.__main__ import main as tenants

        return tenants(arguments[1:])
    if arguments[:1] == ["crowd"]:
        from bench.crowd import main as crowd

        return crowd(arguments[1:])
    if arguments[:1] == ["soak"]:
        from bench.soak import main as soak

        return soak(arguments[1:])
    if arguments[:1] == ["peers"]:
        from bench.peers.__main__ import main as peers

        return peers(arguments[1:])
    if arguments[:1] == ["agents"]:
        from bench.agents.__main__ import main as agents

        return agents(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute")
    options = parser.parse_args(arguments)
    try:
        findings = measure(QUICK if options.quick else Plan())
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(findings), indent=2) if options.json else as_text(findings))
    return 1 if findings.books.faults else 0


def measure(plan: Plan) -> Findings:
    started = time.monotonic()
    processes.allow_many_sockets()
    with running_stack() as stack:
        bench = Bench(stack, key=stack.key)
        latency = [
            measure_latency(
                bench,
                connections=connections,
                delay_s=delay_s,
                rounds=plan.rounds,
                for_s=plan.round_s,
            )
            for connections, delay_s in plan.latencies
        ]
        throughput = measure_throughput(
            bench,
            connections=plan.saturating_connections,
            rounds=plan.rounds,
            for_s=plan.throughput_s,
        )
        streams = [
            measure_streams(
                bench,
                model=model,
                streams=count,
                chunks=plan.chunks,
                interval_s=plan.interval_s,
                hold_s=plan.hold_s,
            )
            for count, model in plan.streams
        ]
        books = check_books(stack, bench.told, ended_at=bench.last_answer_at)
    return Findings(
        machine=machine(bench.fixed_work_ms),
        latency=latency,
        throughput=throughput,
        streams=streams,
        books=books,
        took_s=time.monotonic() - started,
    )


def machine(fixed_work_ms: list[float]) -> dict[str, Any]:
    """fixed_work_ms: see processes; how steady the machine was while it was measured."""
    return {
        "cores": os.cpu_count(),
        "processor": processes.processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "fixed_work_ms": [round(ms, 2) for ms in fixed_work_ms],
    }


def as_text(findings: Findings) -> str:
    lines = [
        "{cores} cores, {processor}, {system}, Python {python}, load {load_average}".format(
            **findings.machine
        ),
        "A fixed piece of work took {:.1f} to {:.1f} ms meanwhile".format(
            min(findings.machine["fixed_work_ms"]), max(findings.machine["fixed_work_ms"])
        ),
        "",
        "Time added to a call, ms        upstream        gateway          added",
        "connections  upstream takes    p50    p99     p50    p99     p50    p99     calls",
    ]
    lines += [
        f"{x.connections:>11}  {x.upstream_delay_ms:>11.0f} ms "
        f"{x.upstream_p50_ms:>6.2f} {x.upstream_p99_ms:>6.2f}  {x.gateway_p50_ms:>6.2f} "
        f"{x.gateway_p99_ms:>6.2f}  {x.added_p50_ms:>6.2f} {x.added_p99_ms:>6.2f}  {x.calls:>8}"
        for x in findings.latency
    ]
    load = findings.throughput
    lines += [
        "",
        f"One web worker, {load.connections} connections: {load.calls_per_s:.0f} calls/s, "
        f"p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms, {load.busy:.0%} of its core",
        f"Processor time of a call, ms: web {load.web_cpu_ms_per_call:.3f} "
        f"({load.calls_per_cpu_s:.0f} calls per second of it), "
        f"Valkey {load.valkey_cpu_ms_per_call:.3f}, "
        f"settlement with PostgreSQL {load.settlement_cpu_ms_per_call:.3f}",
        "",
        "Streams of 10 chunks a second",
        "   at once  whole  failed  stalls  gap p99  longest   first token added   busy"
        "  µs/chunk   memory",
        "                                                        p50        p99",
    ]
    lines += [
        f"{x.most_open:>10} {x.completed:>6}  {x.failed:>6}  {x.stalls:>6} "
        f"{x.gap_p99_ms:>5.0f} ms {x.longest_gap_ms:>5.0f} ms  "
        f"{x.added_first_token_p50_ms:>6.1f} ms {x.added_first_token_p99_ms:>7.1f} ms  "
        f"{x.busy:>4.0%} {x.web_cpu_us_per_chunk:>8.1f} "
        f"{x.web_memory_before_mb:>4.0f}→{x.web_memory_mb:.0f} MB"
        for x in findings.streams
    ]
    books = findings.books
    lines += [
        "",
        f"Money: {books.calls} calls answered, {books.records} booked; answers said "
        f"{books.told_nusd} nUSD, the ledger {books.booked_nusd}; all of it booked "
        f"{books.booked_after_s:.1f} s after the last answer",
        *[f"WRONG: {fault}" for fault in books.faults],
        *([] if books.faults else ["Nothing is lost: audit clean."]),
        f"Took {findings.took_s:.0f} s.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
