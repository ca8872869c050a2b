"""The clients: raw asyncio, since whatever they take is taken from what they measure."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.wire import head_and_length, is_whole

_TOLD = re.compile(rb'"request_cost":"(\d+)\.(\d{9})"')
# Room for the last chunks: usage with the cost, and [DONE].
_END_BYTES = 2_000
# Pieces come ten times a second; a client notices when one is this late.
STALL_S = 1.0
# No answer takes so long.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Target:
    """A server on this machine, and the one request that it is sent."""

    port: int
    request: bytes

    @classmethod
    def of(
        cls,
        port: int,
        path: str,
        body: bytes,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> "Target":
        own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
            "User-Agent: bench\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
            f"{own}Content-Length: {len(body)}\r\n\r\n"
        )
        return cls(port, head.encode() + body)


@dataclass
class Told:
    """What the answers said, added up: to be held against the ledger afterwards."""

    calls: int = 0
    cost_nusd: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, answer: bytes) -> None:
        self.calls += 1
        if cost := _TOLD.search(answer):
            self.cost_nusd += int(cost[1] + cost[2])

    def include(self, other: "Told") -> None:
        self.calls += other.calls
        self.cost_nusd += other.cost_nusd
        self.failures += other.failures


class Client(asyncio.Protocol):
    """One connection, one request after the other while `more` says so.

    A request that fails ends it. `on_end` is called once, when nothing more will be sent.
    """

    def __init__(
        self, target: Target, *, told: Told, more: Callable[[], bool], on_end: Callable[[], None]
    ) -> None:
        self.target = target
        self.told = told
        self.more = more
        self.on_end = on_end
        self.received = b""
        self.sent_at = 0.0
        self.is_over = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"the connection broke: {exc}")

    def send(self) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        self.transport.write(self.target.request)

    def send_next(self) -> None:
        if self.more():
            self.send()
        else:
            self.end()

    def fail(self, reason: str) -> None:
        if not self.is_over:
            self.told.failures.append(reason)
            self.end()

    def end(self) -> None:
        self.is_over = True
        self.transport.close()
        self.on_end()


# --- whole answers ------------------------------------------------------------------


@dataclass
class Calls:
    """Calls made by some connections, each sending the next as soon as the last is answered."""

    told: Told
    seconds: list[float]
    wall_s: float


class WholeClient(Client):
    seconds: list[float]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.received += data
        if not is_whole(self.received):
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            self.fail(describe(self.received))
            return
        self.seconds.append(now - self.sent_at)
        self.told.add(self.received)
        self.send_next()


async def call_repeatedly(
    targets: Target | Sequence[Target], *, connections: int, for_s: float
) -> Calls:
    """Several targets are shared out among the connections, in turn."""
    all_of_them = [targets] if isinstance(targets, Target) else targets
    calls = Calls(Told(), [], 0.0)
    started = time.perf_counter()
    until = started + for_s

    async def keep_calling(target: Target) -> None:
        def client(on_end: Callable[[], None]) -> Client:
            made = WholeClient(
                target, told=calls.told, more=lambda: time.perf_counter() < until, on_end=on_end
            )
            made.seconds = calls.seconds
            return made

        await run(target, client, for_s=for_s)

    await asyncio.gather(
        *(keep_calling(all_of_them[at % len(all_of_them)]) for at in range(connections))
    )
    calls.wall_s = time.perf_counter() - started
    return calls


# --- streams ------------------------------------------------------------------------


@dataclass
class Streams:
    """Streams as their readers saw them.

    first_piece_s: from request to first text, of those begun while all were running.
    gaps_s: between one piece and the next. A stall is a gap of STALL_S or more.
    """

    told: Told
    first_piece_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    stalls: int = 0
    open: int = 0
    most_open: int = 0


class StreamClient(Client):
    streams: Streams
    events: range
    measured: Callable[[], bool]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.streams.open += 1
        self.streams.most_open = max(self.streams.most_open, self.streams.open)
        super().connection_made(transport)

    def send(self) -> None:
        super().send()
        self.in_body = False
        self.seen_events = 0
        self.last_at = 0.0
        self.end_of_body = b""
        self.is_measured = self.measured()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.in_body:
            self.received += data
            head, _ = head_and_length(self.received)
            if head == 0:
                return
            if not self.received.startswith(b"HTTP/1.1 200"):
                self.fail(describe(self.received))
                return
            data = self.received[head:]
            if not data:
                return
            self.in_body = True
        self.note_piece(now)
        # Two newlines end an event, also where they arrive apart.
        self.seen_events += (self.end_of_body[-1:] + data).count(b"\n\n")
        self.end_of_body = (self.end_of_body + data)[-_END_BYTES:]
        if self.end_of_body.endswith(b"\r\n0\r\n\r\n"):
            self.finish()

    def end(self) -> None:
        self.streams.open -= 1
        super().end()

    def note_piece(self, now: float) -> None:
        if not self.last_at:
            if self.is_measured:
                self.streams.first_piece_s.append(now - self.sent_at)
        else:
            gap = now - self.last_at
            self.streams.gaps_s.append(gap)
            self.streams.stalls += gap >= STALL_S
        self.last_at = now

    def finish(self) -> None:
        is_all = self.seen_events in self.events
        if not is_all or b"data: [DONE]" not in self.end_of_body:
            self.fail(f"a stream had {self.seen_events} events, not {self.events}")
            return
        self.told.add(self.end_of_body)
        self.send_next()


async def keep_streams(
    target: Target, *, streams: int, ramp_s: float, hold_s: float, events: range
) -> Streams:
    """Open `streams` streams evenly over ramp_s, and a new one for each that ends in hold_s.

    events: how many a whole stream may have, `[DONE]` included.
    """
    seen = Streams(Told())
    all_open_at = time.perf_counter() + ramp_s
    until = all_open_at + hold_s

    def client(on_end: Callable[[], None]) -> Client:
        made = StreamClient(
            target, told=seen.told, more=lambda: time.perf_counter() < until, on_end=on_end
        )
        made.streams = seen
        made.events = events
        made.measured = lambda: time.perf_counter() >= all_open_at
        return made

    async def start_later(wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await run(target, client, for_s=ramp_s + hold_s)

    await asyncio.gather(*(start_later(ramp_s * number / streams) for number in range(streams)))
    return seen


# --- both ---------------------------------------------------------------------------


def describe(answer: bytes) -> str:
    """A refusal in one line: its status and the beginning of its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return b" ".join([head.partition(b"\r\n")[0], body[:200]]).decode(errors="replace")


async def run(
    target: Target, make_client: Callable[[Callable[[], None]], Client], *, for_s: float
) -> None:
    """Connect one client and wait until it has ended. for_s: how long it goes on asking."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    client = make_client(ended.set)
    try:
        await loop.create_connection(lambda: client, "127.0.0.1", target.port)
    except OSError as exc:
        client.told.failures.append(f"no connection: {exc}")
        return
    try:
        await asyncio.wait_for(ended.wait(), for_s + _PATIENCE_S)
    except TimeoutError:
        client.fail("no end in sight")
