"""The measurements, one function each. All times in milliseconds unless a name says other."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

from bench import processes
from bench.load import Calls, Streams, Target, Told, call_repeatedly, keep_streams
from bench.stack import Served
from bench.upstream import Pace

# Of each form upstream answers in, one model.
NATIVE_MODEL = ("llama-3.1-8b", "@cf/meta/llama-3.1-8b")
OPENAI_MODEL = ("gpt-oss-20b", "@cf/openai/gpt-oss-20b")

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
    {
        "role": "user",
        "content": "Explain to a colleague who joins tomorrow how a reservation of credit keeps "
        "many calls at once from spending the same money twice, and what has to happen when "
        "the process that holds the reservation dies half-way through a long answer.",
    },
]


@dataclass
class Bench:
    """A gateway that runs, and what all calls through it were told to cost."""

    stack: Served
    key: str = ""
    told: Told = field(default_factory=Told)
    last_answer_at: float = 0.0
    fixed_work_ms: list[float] = field(default_factory=list)

    def set_pace(self, pace: Pace) -> None:
        """Before each measurement; a moment to see how fast the machine is just now."""
        self.fixed_work_ms.append(processes.fixed_work_ms())
        asyncio.run(set_pace(self.stack.upstream_port, pace))

    def gateway(self, model: tuple[str, str], *, stream: bool = False) -> Target:
        body: dict[str, object] = {"model": model[0], "messages": MESSAGES, "max_tokens": 500}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        port = self.stack.web_port
        return Target.of(port, "/v1/chat/completions", orjson.dumps(body), key=self.key)

    def upstream(self, model: tuple[str, str], *, stream: bool = False) -> Target:
        body: dict[str, object] = {"messages": MESSAGES, "max_tokens": 500}
        if stream:
            body["stream"] = True
        path = f"/client/v4/accounts/bench/ai/run/{model[1]}"
        return Target.of(self.stack.upstream_port, path, orjson.dumps(body))

    def gateway_events(self, chunks: int) -> range:
        """Around the pieces of text: finish, usage and [DONE], and at the front the chunk with
        the role."""
        return range(chunks + 4, chunks + 5)

    def upstream_events(self, model: tuple[str, str], chunks: int) -> range:
        """Usage and [DONE]; OpenAI's a finish too."""
        extra = 2 if model == NATIVE_MODEL else 3
        return range(chunks + extra, chunks + extra + 1)

    def calls(self, target: Target, *, connections: int, for_s: float) -> Calls:
        calls = asyncio.run(call_repeatedly(target, connections=connections, for_s=for_s))
        self.note(target, calls.told)
        return calls

    def streams(
        self, target: Target, *, streams: int, ramp_s: float, hold_s: float, events: range
    ) -> Streams:
        seen = asyncio.run(
            keep_streams(target, streams=streams, ramp_s=ramp_s, hold_s=hold_s, events=events)
        )
        self.note(target, seen.told)
        return seen

    def note(self, target: Target, told: Told) -> None:
        """Calls straight to upstream cost nothing; only their failures count."""
        if target.port == self.stack.web_port:
            self.told.include(told)
            self.last_answer_at = time.monotonic()
        else:
            self.told.failures += told.failures


async def set_pace(port: int, pace: Pace) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(pace.as_request())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


# --- latency ------------------------------------------------------------------------


@dataclass(frozen=True)
class Latency:
    """Medians over the rounds of each round's percentile."""

    connections: int
    upstream_delay_ms: float
    upstream_p50_ms: float
    upstream_p99_ms: float
    gateway_p50_ms: float
    gateway_p99_ms: float
    added_p50_ms: float
    added_p99_ms: float
    calls: int


def measure_latency(
    bench: Bench, *, connections: int, delay_s: float, rounds: int, for_s: float
) -> Latency:
    """Bare upstream and gateway by turns, so that whatever else runs here strikes both."""
    bench.set_pace(Pace(delay_s=delay_s))
    bare, through = bench.upstream(NATIVE_MODEL), bench.gateway(NATIVE_MODEL)
    bench.calls(through, connections=connections, for_s=min(for_s, 0.5))  # warm up
    found: dict[str, list[float]] = {"u50": [], "u99": [], "g50": [], "g99": []}
    calls = 0
    for _ in range(rounds):
        upstream = bench.calls(bare, connections=connections, for_s=for_s / 2).seconds
        gateway = bench.calls(through, connections=connections, for_s=for_s).seconds
        calls += len(gateway)
        found["u50"].append(percentile_ms(upstream, 50))
        found["u99"].append(percentile_ms(upstream, 99))
        found["g50"].append(percentile_ms(gateway, 50))
        found["g99"].append(percentile_ms(gateway, 99))
    median = {name: statistics.median(values) for name, values in found.items()}
    return Latency(
        connections=connections,
        upstream_delay_ms=delay_s * 1000,
        upstream_p50_ms=median["u50"],
        upstream_p99_ms=median["u99"],
        gateway_p50_ms=median["g50"],
        gateway_p99_ms=median["g99"],
        added_p50_ms=median["g50"] - median["u50"],
        added_p99_ms=median["g99"] - median["u99"],
        calls=calls,
    )


# --- throughput ---------------------------------------------------------------------


@dataclass(frozen=True)
class Throughput:
    """Of the best round: neighbours can only take away.

    calls_per_cpu_s: calls for each second of processor time of the web worker, which
    neighbours hardly change. busy: how much of its core the worker had. The other times
    are of whole process trees.
    """

    connections: int
    calls: int
    calls_per_s: float
    calls_per_cpu_s: float
    busy: float
    web_cpu_ms_per_call: float
    valkey_cpu_ms_per_call: float
    settlement_cpu_ms_per_call: float
    p50_ms: float
    p99_ms: float


def measure_throughput(bench: Bench, *, connections: int, rounds: int, for_s: float) -> Throughput:
    bench.set_pace(Pace())
    target = bench.gateway(NATIVE_MODEL)
    bench.calls(target, connections=connections, for_s=min(for_s, 1.0))  # warm up
    found = []
    for _ in range(rounds):
        with used(bench.stack) as cpu:
            calls = bench.calls(target, connections=connections, for_s=for_s)
        made = max(1, len(calls.seconds))
        per_call_ms = {name: 1000 * seconds / made for name, seconds in cpu.items()}
        found.append(
            Throughput(
                connections=connections,
                calls=made,
                calls_per_s=made / calls.wall_s,
                calls_per_cpu_s=made / cpu["web"] if cpu["web"] else 0.0,
                busy=cpu["web"] / calls.wall_s,
                web_cpu_ms_per_call=per_call_ms["web"],
                valkey_cpu_ms_per_call=per_call_ms.get("valkey", 0.0),
                settlement_cpu_ms_per_call=per_call_ms.get("worker", 0.0)
                + per_call_ms.get("postgres", 0.0),
                p50_ms=percentile_ms(calls.seconds, 50),
                p99_ms=percentile_ms(calls.seconds, 99),
            )
        )
    return max(found, key=lambda round_: round_.calls_per_s)


# --- streams ------------------------------------------------------------------------


@dataclass(frozen=True)
class StreamLoad:
    """busy: of the web worker's core, from the first stream to the last. web_cpu_us_per_chunk
    includes each stream's start and end."""

    streams: int
    most_open: int
    wall_s: float
    chunks_per_s: float
    chunks_per_stream: int
    completed: int
    failed: int
    stalls: int
    gap_p99_ms: float
    longest_gap_ms: float
    upstream_first_token_p50_ms: float
    first_token_p50_ms: float
    added_first_token_p50_ms: float
    added_first_token_p99_ms: float
    busy: float
    web_cpu_us_per_chunk: float
    web_memory_before_mb: float
    web_memory_mb: float


def measure_streams(
    bench: Bench,
    *,
    model: tuple[str, str],
    streams: int,
    chunks: int,
    interval_s: float,
    hold_s: float,
) -> StreamLoad:
    bare = bench.upstream(model, stream=True)
    through = bench.gateway(model, stream=True)
    # The baseline needs no more than its starts; half as long streams do.
    short = max(1, chunks // 2)
    bench.set_pace(Pace(chunks=short, interval_s=interval_s))
    upstream = bench.streams(
        bare,
        streams=streams,
        ramp_s=short * interval_s,
        hold_s=hold_s / 2,
        events=bench.upstream_events(model, short),
    )
    bench.set_pace(Pace(chunks=chunks, interval_s=interval_s))
    memory_before_mb = processes.memory_mb(bench.stack.pids["web"])
    started = time.perf_counter()
    with used(bench.stack) as cpu:
        gateway = bench.streams(
            through,
            streams=streams,
            ramp_s=chunks * interval_s,
            hold_s=hold_s,
            events=bench.gateway_events(chunks),
        )
    wall_s = time.perf_counter() - started
    return StreamLoad(
        streams=streams,
        most_open=gateway.most_open,
        wall_s=wall_s,
        chunks_per_s=gateway.told.calls * chunks / wall_s,
        chunks_per_stream=chunks,
        completed=gateway.told.calls,
        failed=len(gateway.told.failures),
        stalls=gateway.stalls,
        gap_p99_ms=percentile_ms(gateway.gaps_s, 99),
        longest_gap_ms=1000 * max(gateway.gaps_s, default=0.0),
        upstream_first_token_p50_ms=percentile_ms(upstream.first_piece_s, 50),
        first_token_p50_ms=percentile_ms(gateway.first_piece_s, 50),
        added_first_token_p50_ms=percentile_ms(gateway.first_piece_s, 50)
        - percentile_ms(upstream.first_piece_s, 50),
        added_first_token_p99_ms=percentile_ms(gateway.first_piece_s, 99)
        - percentile_ms(upstream.first_piece_s, 99),
        busy=cpu["web"] / wall_s,
        web_cpu_us_per_chunk=1e6 * cpu["web"] / max(1, gateway.told.calls * chunks),
        web_memory_before_mb=memory_before_mb,
        web_memory_mb=processes.memory_mb(bench.stack.pids["web"]),
    )


# --- all ----------------------------------------------------------------------------


@contextmanager
def used(stack: Served) -> Iterator[dict[str, float]]:
    """Processor time of each process while it lasts, in seconds; filled in at its end."""
    before = {name: processes.cpu_s(pid) for name, pid in stack.pids.items()}
    result: dict[str, float] = {}
    yield result
    for name, pid in stack.pids.items():
        result[name] = processes.cpu_s(pid) - before[name]


def percentile_ms(seconds: list[float], percent: int) -> float:
    """Nearest rank; 0 of nothing."""
    if not seconds:
        return 0.0
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
