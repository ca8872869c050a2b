"""`python -m bench agents`: what histories, WebSockets and resumed streams take, in two minutes.

Pages of a history of 100,000 messages against those of one of 100; the memory of 1,000 idle
WebSockets on one worker; how long a client that was cut off waits for the first event that it
missed, over a WebSocket of its own, while the turn goes on.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
import requests
from websockets.asyncio.client import ClientConnection, connect

from bench import processes
from bench.measures import set_pace
from bench.stack import TENANT, BenchError, Stack, running_stack
from bench.timing import timed
from bench.upstream import Pace
from sandbox.embedded.ports import HOST
from sandbox.errors import SandboxError

_MODEL = "llama-3.3-70b-fast"
_PAGE = 100
_AT_ONCE = 50
_FILL = """
INSERT INTO {schema}.conversations_item
       (id, conversation_id, position, type, body, created_at, is_output, is_replaced)
SELECT gen_random_uuid(), %(conversation)s, number, 'message', %(body)s, now(), false, false
  FROM generate_series(0, %(count)s - 1) AS number
"""


@dataclass
class Findings:
    """page_ms: by what is read, the median. socket_kb: of each idle WebSocket. resume_ms: by its
    percentile."""

    messages: int
    sockets: int
    page_ms: dict[str, float] = field(default_factory=dict)
    idle_mb: float = 0.0
    with_sockets_mb: float = 0.0
    socket_kb: float = 0.0
    resumes: int = 0
    resume_ms: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)
    fixed_work_ms: float = 0.0


class Client:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.base_url = f"http://{HOST}:{stack.web_port}/v1"
        self.socket_url = f"ws://{HOST}:{stack.web_port}/v1"
        self.session = requests.Session()
        self.headers = {"Authorization": f"Bearer {stack.key}"}
        self.session.headers.update(self.headers)

    def post(self, path: str, body: Any) -> Any:
        answer = self.session.post(f"{self.base_url}/{path}", json=body, timeout=60)
        if answer.status_code != 200:
            raise BenchError(f"{path}: {answer.text}")
        return answer.json()

    def get_ms(self, path: str) -> float:
        began = time.perf_counter()
        answer = self.session.get(f"{self.base_url}/{path}", timeout=60)
        if answer.status_code != 200:
            raise BenchError(f"{path}: {answer.text}")
        _ = answer.content
        return (time.perf_counter() - began) * 1000

    def open(self, agent: str) -> Any:
        return connect(
            f"{self.socket_url}/agents/{agent}/ws",
            additional_headers=self.headers,
            compression=None,
            open_timeout=30,
            # With a bound, closing waits for what is queued and unread.
            max_queue=None,
        )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench agents", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--resumes", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        found = measure(options)
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(found), indent=1) if options.json else told(found))
    return 1 if found.faults else 0


def measure(options: argparse.Namespace) -> Findings:
    found = Findings(options.messages, options.sockets)
    with running_stack() as stack:
        found.fixed_work_ms = processes.fixed_work_ms()
        client = Client(stack)
        agent = client.post("agents", {"name": "bench", "model": _MODEL})["id"]
        with timed(found.took_s, "histories"):
            measure_pages(client, agent, found)
        with timed(found.took_s, "resumes"):
            asyncio.run(measure_resumes(client, agent, options.resumes, found))
        with timed(found.took_s, "idle WebSockets"):
            asyncio.run(measure_sockets(client, agent, found))
    return found


# --- histories ----------------------------------------------------------------------


def measure_pages(client: Client, agent: str, found: Findings) -> None:
    for name, count in (("short", 100), ("long", found.messages)):
        path = f"agents/{agent}/conversations"
        conversation = client.post(path, {})["id"]
        ids = fill(client.stack, conversation, count)
        messages = f"{path}/{conversation}/messages?limit={_PAGE}"
        places = {"newest": "", "middle": f"&after={ids[1]}", "oldest": f"&after={ids[0]}"}
        for place, after in places.items():
            times = [client.get_ms(f"{messages}{after}") for _ in range(20)]
            found.page_ms[f"{place} of the {name} one"] = statistics.median(times)


def fill(stack: Stack, conversation: str, count: int) -> list[str]:
    """Messages by SQL. Returns the ids of one near the beginning, and of one in the middle."""
    part = {"type": "input_text", "text": "A message of some length, as people write them."}
    body = {"type": "message", "role": "user", "status": "completed", "content": [part]}
    with psycopg.connect(stack.environment["DATABASE_URL"], autocommit=True) as connection:
        row = connection.execute(
            "SELECT schema_name FROM registry_tenant WHERE slug = %s", [TENANT]
        ).fetchone()
        assert row is not None
        schema, number = row[0], conversation.removeprefix("conv_")
        values = {"conversation": number, "body": json.dumps(body), "count": count}
        connection.execute(_FILL.format(schema=schema).encode(), values)
        grown = f"UPDATE {schema}.conversations_conversation SET next_position = %s WHERE id = %s"
        connection.execute(grown.encode(), [count, number])
        connection.execute(f"ANALYZE {schema}.conversations_item".encode())
        found = []
        for position in (min(_PAGE, count - 1), count // 2):
            item = connection.execute(
                f"SELECT id FROM {schema}.conversations_item"
                " WHERE conversation_id = %s AND position = %s".encode(),
                [number, position],
            ).fetchone()
            assert item is not None
            found.append(f"msg_{item[0].hex}")
        return found


# --- resumed ------------------------------------------------------------------------


async def measure_resumes(client: Client, agent: str, count: int, found: Findings) -> None:
    """Drops while turns go on: each reconnects, asks for what it missed, and reads on."""
    await set_pace(client.stack.upstream_port, Pace(chunks=400, interval_s=0.02))
    waits: list[float] = []
    turns = max(1, min(20, count // 10))
    await asyncio.gather(
        *(dropping(client, agent, count // turns, waits, found) for _ in range(turns))
    )
    waits.sort()
    found.resumes = len(waits)
    found.resume_ms = {
        name: waits[min(len(waits) - 1, int(len(waits) * share))] * 1000
        for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
    }


async def dropping(
    client: Client, agent: str, drops: int, waits: list[float], found: Findings
) -> None:
    socket = await client.open(agent)
    await tell(socket, type="conversation.create")
    conversation = (await hear(socket))["conversation"]["id"]
    await tell(socket, type="turn.create", conversation=conversation, input="Hello")
    turn = (await hear(socket))["turn"]
    last, chance = -1, random.Random(turn)
    for number in range(drops + 1):
        is_last = number == drops
        heard = 0
        while is_last or heard < 8:
            event = await hear(socket)
            if event["sequence_number"] != last + 1:
                found.faults.append(f"{event['sequence_number']} after {last}")
            last, heard = event["sequence_number"], heard + 1
            if event["type"] == "turn.completed":
                break
        if event["type"] == "turn.completed":
            break
        await socket.close()
        # Something is missed meanwhile; clients are not cut off all at the same moment.
        await asyncio.sleep(0.05 + chance.random() * 0.3)
        began = time.perf_counter()
        socket = await client.open(agent)
        await tell(socket, type="turn.subscribe", conversation=conversation, turn=turn, after=last)
        event = await hear(socket)
        waits.append(time.perf_counter() - began)
        if event["sequence_number"] != last + 1:
            found.faults.append(f"{event['sequence_number']} after {last}")
        last = event["sequence_number"]
    await socket.close()


# --- idle ---------------------------------------------------------------------------


async def measure_sockets(client: Client, agent: str, found: Findings) -> None:
    web = client.stack.pids["web"]
    found.idle_mb = processes.memory_mb(web)
    sockets: list[ClientConnection] = []
    for first in range(0, found.sockets, _AT_ONCE):
        few = min(_AT_ONCE, found.sockets - first)
        sockets += await asyncio.gather(*(client.open(agent) for _ in range(few)))
    await asyncio.sleep(3)
    found.with_sockets_mb = processes.memory_mb(web)
    found.socket_kb = (found.with_sockets_mb - found.idle_mb) * 1024 / found.sockets
    for socket in sockets:
        await tell(socket, type="ping")
        if (await hear(socket))["type"] != "pong":
            found.faults.append("an idle WebSocket does not answer")
    await asyncio.gather(*(socket.close() for socket in sockets))


async def tell(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), 30))


def told(found: Findings) -> str:
    lines = [f"A page of {_PAGE} messages over HTTP, median:"]
    lines += [f"  {name:22} {ms:6.1f} ms" for name, ms in found.page_ms.items()]
    lines.append(
        f"{found.sockets} idle WebSockets on one worker: "
        f"{found.with_sockets_mb - found.idle_mb:.0f} MB more ({found.socket_kb:.0f} kB each); "
        f"{found.with_sockets_mb:.0f} MB in all"
    )
    waits = ", ".join(f"{name} {ms:.1f} ms" for name, ms in found.resume_ms.items())
    lines.append(f"{found.resumes} times cut off in running turns, until the next event: {waits}")
    lines += [f"FAULT: {fault}" for fault in found.faults]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
