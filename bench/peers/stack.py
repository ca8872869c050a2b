"""One peer and the bench's upstream, each on the cores that ours would have."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench import processes
from bench.load import Target
from bench.measures import MESSAGES, Bench
from bench.peers.gateways import Peer, installed
from bench.stack import Served, stop, wait_until_ready
from sandbox.embedded.ports import free_port

_PATH = "/v1/chat/completions"


@dataclass
class PeerBench(Bench):
    """Calls as OpenAI's clients make them, to the peer or straight to the same upstream."""

    peer: Peer | None = None

    def gateway(self, model: tuple[str, str], *, stream: bool = False) -> Target:
        assert self.peer
        port = self.stack.web_port
        headers = self.peer.headers(self.stack.upstream_port)
        return Target.of(port, _PATH, _body(stream=stream), key="bench", headers=headers)

    def upstream(self, model: tuple[str, str], *, stream: bool = False) -> Target:
        return Target.of(self.stack.upstream_port, _PATH, _body(stream=stream), key="bench")

    def gateway_events(self, chunks: int) -> range:
        """They may add some, or leave one out."""
        return range(chunks + 1, chunks + 10)

    def upstream_events(self, model: tuple[str, str], chunks: int) -> range:
        return range(chunks + 3, chunks + 4)


def _body(*, stream: bool) -> bytes:
    body: dict[str, object] = {"model": "bench", "messages": MESSAGES, "max_tokens": 500}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(body)


@contextmanager
def running_peer(peer: Peer) -> Iterator[PeerBench]:
    """Raises BenchError when it cannot be installed or does not start."""
    installed_in = installed(peer)
    own_core, other_cores = processes.divide_cores()
    with ExitStack() as exits:
        exits.enter_context(processes.on_cores(other_cores))
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="peer-bench-")))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        served = Served(
            folder=folder,
            environment=kept | dict(peer.environment),
            upstream_port=free_port(),
            web_port=free_port(),
            pids={},
        )
        command = [sys.executable, "-m", "bench.upstream", str(served.upstream_port)]
        upstream = served.start("upstream", command)
        exits.callback(stop, upstream)
        with processes.on_cores(own_core):
            web = served.start(
                "web", peer.command(installed_in, folder, served.web_port, served.upstream_port)
            )
        exits.callback(stop, web)
        served.pids = {"upstream": upstream.pid, "web": web.pid}
        wait_until_ready(served, web, peer.ready)
        yield PeerBench(served, peer=peer)
