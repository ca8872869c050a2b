"""A Redis Cluster of several Valkey servers on this machine, without valkey-cli.

Three masters share the slots evenly; each may have a replica, which takes its place when it is
gone. For tests, and to try what docs/scaling.md says.
"""

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.embedded.ports import HOST, free_port
from sandbox.embedded.valkey import Valkey
from sandbox.errors import SandboxError

SLOTS = 16_384

# What the other masters have goes on when one of them is gone and nobody takes its place.
CLUSTER_SETTINGS = """\
cluster-enabled yes
cluster-port {bus_port}
cluster-config-file nodes.conf
cluster-node-timeout {node_timeout_ms}
cluster-require-full-coverage no
cluster-allow-replica-migration no
primaryauth {password}
"""
NODE_TIMEOUT_MS = 2_000
_START_S = 30.0


class ServerSaysError(SandboxError):
    """The server's own words."""


class ValkeyNode(Valkey):
    """One server of a cluster."""

    def __init__(self, folder: Path, *, password: str, log: Path, durable: bool) -> None:
        super().__init__(folder, password=password, port=free_port(), log=log, durable=durable)
        # Else ten thousand above the port, which may be somebody's.
        self.bus_port = free_port()

    def write_settings(self) -> Path:
        path = super().write_settings()
        more = CLUSTER_SETTINGS.format(
            bus_port=self.bus_port, node_timeout_ms=NODE_TIMEOUT_MS, password=self.password
        )
        path.write_text(path.read_text() + more)
        return path

    def ask(self, *command: str | int) -> Any:
        """Send one command. Returns its answer: str, int, None, or a list of these.

        Raises ServerSaysError, and OSError where nobody answers.
        """
        with socket.create_connection((HOST, self.port), timeout=10.0) as connection:
            stream = connection.makefile("rb")
            answer = None
            for each in (("AUTH", self.password), command):
                connection.sendall(_packed(each))
                answer = _read(stream)
            return answer

    @property
    def node_id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))

    def info(self, section: str) -> dict[str, str]:
        lines = str(self.ask("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


@dataclass
class ValkeyCluster:
    """masters: as they began; a failover makes a replica one. replicas: one of each, or none."""

    masters: list[ValkeyNode]
    replicas: list[ValkeyNode] = field(default_factory=list)

    @property
    def url(self) -> str:
        first = self.masters[0]
        places = ",".join(f"{HOST}:{node.port}" for node in self.masters)
        return f"redis+cluster://:{first.password}@{places}"

    @property
    def nodes(self) -> list[ValkeyNode]:
        return [*self.masters, *self.replicas]

    def owner(self, slot: int) -> ValkeyNode:
        """As a node that runs says. Raises SandboxError where nobody has it."""
        asked = next(node for node in self.nodes if node.is_alive())
        for first, last, master, *_ in asked.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise SandboxError(f"nobody has slot {slot}")

    def slot(self, key: str) -> int:
        return int(self.masters[0].ask("CLUSTER", "KEYSLOT", key))

    def move(self, slot: int, to: ValkeyNode) -> None:
        """In one step, as Valkey 9 does it. Returns when `to` has it."""
        source = self.owner(slot)
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", to.node_id)
        _wait(lambda: self.owner(slot) is to, f"slot {slot} does not move")

    def move_key_by_key(self, slot: int, to: ValkeyNode, *, between: Callable[[], None]) -> None:
        """As servers before do it. between: called when half of the keys are there."""
        source = self.owner(slot)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.node_id)
        self._hand_over(slot, source, to, source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) // 2)
        between()
        while number := source.ask("CLUSTER", "COUNTKEYSINSLOT", slot):
            self._hand_over(slot, source, to, number)
        for node in (to, source, *self.masters):
            if node.is_alive():
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.node_id)

    def _hand_over(self, slot: int, source: ValkeyNode, to: ValkeyNode, number: int) -> None:
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, number) if number else []
        if keys:
            place = (HOST, to.port, "", 0, 5_000, "REPLACE", "AUTH", to.password, "KEYS")
            source.ask("MIGRATE", *place, *keys)

    def wait_until_whole(self) -> None:
        """Every node that runs sees every slot with a master that answers."""

        def is_whole() -> bool:
            try:
                told = [_facts(node) for node in self.nodes if node.is_alive()]
            except OSError:
                return False
            return all(
                facts["cluster_state"] == "ok" and facts["cluster_slots_ok"] == str(SLOTS)
                for facts in told
            )

        _wait(is_whole, "the cluster does not come together")

    def make_whole(self) -> None:
        """After nodes were killed, or paused."""
        for node in self.nodes:
            if not node.is_alive():
                node.start_again()
            os.kill(node.pid, signal.SIGCONT)
        self.wait_until_whole()

    def stop_quickly(self) -> None:
        for node in self.nodes:
            node.stop_quickly()


def start_valkey_cluster(
    folder: Path, *, masters: int = 3, with_replicas: bool = False, durable: bool = True
) -> ValkeyCluster:
    """Start a cluster with its data below folder. The caller stops it; it dies with us.

    Raises SandboxError.
    """
    password = secrets.token_urlsafe(16)
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        ValkeyNode(
            folder / f"node{number}",
            password=password,
            log=folder / f"node{number}.log",
            durable=durable,
        )
        for number in range(2 * masters if with_replicas else masters)
    ]
    for node in nodes:
        node.prepare()
        node.start()
    cluster = ValkeyCluster(nodes[:masters], nodes[masters:])
    _share_out(cluster.masters)
    first, *others = nodes
    for epoch, node in enumerate(nodes, start=1):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for node in others:
        first.ask("CLUSTER", "MEET", HOST, node.port, node.bus_port)
    _wait(lambda: all(_known(node) == len(nodes) for node in nodes), "nodes do not meet")
    cluster.wait_until_whole()
    for master, replica in zip(cluster.masters, cluster.replicas, strict=False):
        replica.ask("CLUSTER", "REPLICATE", master.node_id)
    _wait(lambda: all(map(_is_in_sync, cluster.replicas)), "a replica does not follow")
    return cluster


def _share_out(masters: Sequence[ValkeyNode]) -> None:
    bounds = [SLOTS * number // len(masters) for number in range(len(masters) + 1)]
    for node, first, end in zip(masters, bounds, bounds[1:], strict=False):
        node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)


def _is_in_sync(replica: ValkeyNode) -> bool:
    return replica.info("replication").get("master_link_status") == "up"


def _known(node: ValkeyNode) -> int:
    return int(_facts(node)["cluster_known_nodes"])


def _facts(node: ValkeyNode) -> dict[str, str]:
    lines = str(node.ask("CLUSTER", "INFO")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _START_S
    while not condition():
        if time.monotonic() > deadline:
            raise SandboxError(complaint)
        time.sleep(0.05)


def _packed(command: Sequence[str | int]) -> bytes:
    parts = [str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _read(stream: Any) -> Any:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server has closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise ServerSaysError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [_read(stream) for _ in range(int(rest))]
    return rest
