"""A Redis Cluster as one client: which node has a key's slot, and what to do when it moves.

redis-py's own client of clusters takes several times as long for a command as `RedisNode`, and
fails a pipeline as a whole when one node is away. Here each node has a pool and a breaker of its
own, so that what lies on the others goes on.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions
from redis.client import Pipeline
from redis.commands import CoreCommands
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from agentflare.breaker import Breaker

logger = logging.getLogger(__name__)
SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
# The map of slots is not asked for more often, however many calls find it wrong.
_REFRESH_S = 0.5
_MOST_REDIRECTIONS = 8
# A slot that is moved key by key has some of a script's keys here and some there.
_TRY_AGAIN_S = 0.02
_NO_ANSWER = (exceptions.ConnectionError, exceptions.TimeoutError)
_REDIRECTIONS = (exceptions.AskError, exceptions.TryAgainError)  # a MovedError is an AskError
_NOT_HERE = (*_REDIRECTIONS, *_NO_ANSWER, exceptions.ClusterDownError)
Address = tuple[str, int]


def is_cluster(url: str) -> bool:
    return urlsplit(url).scheme in SCHEMES


def node_urls(url: str) -> dict[Address, str]:
    """`redis+cluster://user:password@host:port,host:port?option=…`, as a URL for each node.

    Raises ValueError, in words for whoever set it.
    """
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    place, _, database = place.partition("/")
    user, at, hosts = place.rpartition("@")
    if scheme not in SCHEMES:
        raise ValueError("must start with redis+cluster:// or rediss+cluster://")
    if database not in ("", "0"):
        raise ValueError("cannot name a database: a cluster has only one")
    urls = {}
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        if not parts.hostname:
            raise ValueError("must name nodes, as redis+cluster://host:6379,host:6379")
        address = (parts.hostname, parts.port or 6379)
        urls[address] = node_url(scheme, user + at, address, query)
    return urls


def node_url(scheme: str, user: str, address: Address, query: str) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{SCHEMES[scheme]}://{user}{host}:{address[1]}/0" + (f"?{query}" if query else "")


class Node:
    """client: of this node alone; it raises at once while its breaker is open."""

    def __init__(self, address: Address, client: Any, breaker: Breaker) -> None:
        self.address = address
        self.client = client
        self.breaker = breaker


class Cluster(CoreCommands):
    """The commands of redis-py; each goes to the node that has its key.

    Those of several keys must have them in one slot, except MGET, DEL, UNLINK and EXISTS. Those of
    none go to every master, and one answer is returned: `ping` tells that somebody is there.
    """

    _event_dispatcher: Any = None

    def __init__(self, url: str, make_node: Callable[[Address, str], Node]) -> None:
        """make_node: from its address, and its URL."""
        scheme, _, rest = url.partition("://")
        place, _, self._query = rest.partition("?")
        user, at, _ = place.rpartition("@")
        self._scheme, self._user = scheme, user + at
        self._make_node = make_node
        self._seeds = list(node_urls(url))
        self._nodes: dict[Address, Node] = {}
        self._owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._refreshing = threading.Lock()
        self._refreshed_at = -1e9
        self._encoder: Any = None

    # --- who has what ---------------------------------------------------------------

    def masters(self) -> list[Node]:
        """That have slots, as far as is known. Raises ConnectionError where no node answers."""
        if None in self._owners:
            self.refresh()
        return list({id(node): node for node in self._owners if node}.values())

    def node_of(self, key: str) -> Node:
        """Raises ConnectionError where no node answers, or nobody has the slot."""
        return self._owner(key_slot(key.encode()))

    def is_whole(self) -> bool:
        """Whether every slot has a node, and each of them answers."""
        nodes = self.masters()
        return None not in self._owners and all(_answers(node) for node in nodes)

    def unanswered(self, keys: Iterable[str]) -> set[str]:
        """Those whose nodes do not answer, asked now; they may be others by now."""
        asked: dict[Node, bool] = {}

        def is_silent(key: str) -> bool:
            try:
                node = self.node_of(key)
            except exceptions.ConnectionError:
                return True
            if node not in asked:
                asked[node] = node.breaker.ask()
            return not asked[node]

        silent = [key for key in keys if is_silent(key)]
        if silent:
            with suppress(exceptions.ConnectionError):
                self.refresh()
        return {key for key in silent if is_silent(key)}

    def runs_beside(self, key: str) -> set[str]:
        """Of the other masters that have slots, as the key's own node sees them; those that
        answer."""
        own = self.node_of(key)
        runs = set()
        for _, (host, port) in _ranges(own.client.execute_command("CLUSTER SLOTS")):
            node = self._node((host or own.address[0], port))
            if node is not own:
                with suppress(*_NO_ANSWER):
                    runs.add(node.client.info("server")["run_id"])
        return runs

    def _owner(self, slot: int) -> Node:
        owner = self._owners[slot]
        if owner is None:
            self.refresh()
            owner = self._owners[slot]
            if owner is None:
                raise exceptions.ConnectionError("No node of the cluster has this slot.")
        return owner

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            url = node_url(self._scheme, self._user, address, self._query)
            node = self._nodes.setdefault(address, self._make_node(address, url))
        return node

    def refresh(self) -> None:
        """Ask the nodes, one after another, who has which slots; a moment after that, nobody.

        What is known stays where none answers. Raises ConnectionError where nothing is known.
        """
        with self._refreshing:
            if time.monotonic() - self._refreshed_at < _REFRESH_S:
                return
            known = list(dict.fromkeys([*self._nodes, *self._seeds]))
            # First those that were not down a moment ago.
            for address in sorted(known, key=lambda each: self._node(each).breaker.is_open):
                try:
                    slots = self._node(address).client.execute_command("CLUSTER SLOTS")
                    self._take_map(address, slots)
                    break
                except exceptions.RedisError as exc:
                    logger.info("%s:%d does not tell the cluster's slots: %s", *address, exc)
            self._refreshed_at = time.monotonic()
        if not any(self._owners):
            raise exceptions.ConnectionError("No node of the cluster answers.")

    def _take_map(self, asked: Address, slots: Any) -> None:
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for (first, last), found in _ranges(slots):
            # A node that does not know its own address tells none.
            node = self._node((found[0] or asked[0], found[1]))
            owners[first : last + 1] = [node] * (last - first + 1)
        self._owners = owners
        for node in set(self._nodes.values()) - set(owners):
            node.breaker.close()

    # --- one command ----------------------------------------------------------------

    def execute_command(self, *args: Any, **options: Any) -> Any:
        position = _position_of_key(args)
        if position is None:
            return self._everywhere(args, options)
        if args[0] in _SPLIT and len(args) > 2:
            return self._split(args, options)
        return self._at_slot(key_slot(_bytes(args[position])), args, options)

    def _at_slot(self, slot: int, args: Sequence[Any], options: dict[str, Any]) -> Any:
        node = self._owner(slot)
        try:
            return node.client.execute_command(*args, **options)
        except _NOT_HERE as exc:
            return self._redirected(slot, node, exc, args, options)

    def _redirected(
        self, slot: int, node: Node, exc: Exception, args: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        for _ in range(_MOST_REDIRECTIONS):
            ask = False
            if isinstance(exc, exceptions.MovedError):
                node = self._moved(exc)
            elif isinstance(exc, exceptions.AskError):
                node, ask = self._node((exc.host or node.address[0], exc.port)), True
            elif isinstance(exc, exceptions.TryAgainError):
                time.sleep(_TRY_AGAIN_S)
                node = self._owner(slot)
            else:
                node = self._successor(slot, node, exc)
            try:
                return _ask(node, args, options) if ask else _plainly(node, args, options)
            except _NOT_HERE as again:
                exc = again
        if isinstance(exc, exceptions.AskError):
            # Neither node has all keys: one sends to the other, which says to try again.
            raise exceptions.TryAgainError(f"Slot {slot} is on its way: {exc}") from exc
        raise exc

    def _moved(self, exc: Any) -> Node:
        node = self._node((exc.host, exc.port))
        self._owners[exc.slot_id] = node
        self.refresh()
        # A map of a node that has not heard of it yet must not undo it.
        self._owners[exc.slot_id] = node
        return node

    def _successor(self, slot: int, node: Node, exc: Exception) -> Node:
        """Who has the slot of a node that does not answer. Raises the error where it is the same,
        or where the command may have been done."""
        try:
            self.refresh()
        except exceptions.ConnectionError:
            raise exc from None
        successor = self._owners[slot]
        if successor is None or successor is node or isinstance(exc, exceptions.TimeoutError):
            raise exc
        return successor

    def _everywhere(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """At every master. One that is away does not matter, unless all are."""
        answers, faults = [], []
        for node in self.masters():
            try:
                answers.append(node.client.execute_command(*args, **options))
            except (*_NO_ANSWER, exceptions.ClusterDownError) as exc:
                faults.append(exc)
        if not answers:
            self.refresh()
            raise faults[0]
        return answers[0]

    def _split(self, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """MGET and the like: a command for each slot."""
        command, *keys = args
        by_slot: defaultdict[int, list[int]] = defaultdict(list)
        for at, key in enumerate(keys):
            by_slot[key_slot(_bytes(key))].append(at)
        found: list[Any] = [None] * len(keys)
        count = 0
        for slot, places in by_slot.items():
            answer = self._at_slot(slot, (command, *(keys[at] for at in places)), options)
            if command != "MGET":
                count += answer
                continue
            for at, value in zip(places, answer, strict=True):
                found[at] = value
        return found if command == "MGET" else count

    # --- what redis-py asks of a client ---------------------------------------------

    def register_script(self, script: Any) -> Any:
        from redis.commands.core import Script

        return Script(self, script)  # type: ignore[arg-type]

    def get_encoder(self) -> Any:
        node = next(iter(self._nodes.values()), None) or self._node(self._seeds[0])
        return node.client.get_encoder()

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> "ClusterPipeline":
        return ClusterPipeline(self, transaction)

    def close(self) -> None:
        for node in self._nodes.values():
            node.client.close()


class ClusterPipeline(Pipeline):
    """What goes to one node goes together. A transaction must be of one slot.

    A node that is away fails its own commands: with raise_on_error=False their places have the
    error, and the others their answers.
    """

    def __init__(self, cluster: Cluster, transaction: bool) -> None:
        super().__init__(None, {}, transaction, None)  # type: ignore[arg-type]
        self._cluster = cluster
        self._is_transaction = transaction

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, scripts = list(self.command_stack), set(self.scripts)
        self.reset()
        answers: list[Any] = [None] * len(commands)
        try:
            by_node = self._by_node(commands)
        except exceptions.ConnectionError as exc:
            if raise_on_error:
                raise
            return [exc] * len(commands)
        for node, places in by_node:
            told = self._at(node, [commands[at] for at in places], scripts)
            for at, answer in zip(places, told, strict=True):
                answers[at] = answer
        if raise_on_error:
            self.raise_first_fault(answers)
        return answers

    def raise_first_fault(self, answers: Iterable[Any]) -> None:
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    def _by_node(self, commands: Sequence[Any]) -> list[tuple[Node, list[int]]]:
        by_node: dict[int, tuple[Node, list[int]]] = {}
        slots = set()
        for at, (args, _) in enumerate(commands):
            position = _position_of_key(args)
            if position is None:
                raise exceptions.RedisClusterException(f"{args[0]} in a pipeline has no key.")
            slots.add(slot := key_slot(_bytes(args[position])))
            node = self._cluster._owner(slot)
            by_node.setdefault(id(node), (node, []))[1].append(at)
        if self._is_transaction and len(slots) > 1:
            raise exceptions.RedisClusterException("A transaction's keys must be in one slot.")
        return list(by_node.values())

    def _at(self, node: Node, commands: Sequence[Any], scripts: set[Any]) -> list[Any]:
        try:
            answers = self._run(node, commands, scripts)
        except _NOT_HERE as exc:
            if self._is_transaction and isinstance(exc, exceptions.MovedError):
                return self._again(self._cluster._moved(exc), commands, scripts)
            answers = self._elsewhere(node, commands, scripts, exc)
        if self._is_transaction:
            return answers
        shas = {script.sha: script for script in scripts}
        for at, answer in enumerate(answers):
            if isinstance(answer, (*_REDIRECTIONS, exceptions.NoScriptError)):
                answers[at] = self._one_again(node, commands[at], answer, shas)
        return answers

    def _run(self, node: Node, commands: Sequence[Any], scripts: set[Any]) -> list[Any]:
        pipeline = node.client.pipeline(transaction=self._is_transaction)
        pipeline.command_stack = list(commands)
        used = {args[1] for args, _ in commands if args[0] == "EVALSHA"}
        pipeline.scripts = {script for script in scripts if script.sha in used}
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def _again(self, node: Node, commands: Sequence[Any], scripts: set[Any]) -> list[Any]:
        try:
            return self._run(node, commands, scripts)
        except exceptions.RedisError as exc:
            return [exc] * len(commands)

    def _elsewhere(
        self, node: Node, commands: Sequence[Any], scripts: set[Any], exc: Exception
    ) -> list[Any]:
        """After a failover another one has it all, perhaps."""
        (args, _), *_ = commands
        position = _position_of_key(args)
        assert position is not None
        try:
            successor = self._cluster._successor(key_slot(_bytes(args[position])), node, exc)
        except exceptions.RedisError as same:
            return [same] * len(commands)
        return self._again(successor, commands, scripts)

    def _one_again(self, node: Node, command: Any, exc: Any, shas: dict[str, Any]) -> Any:
        args, options = command
        position = _position_of_key(args)
        assert position is not None
        slot = key_slot(_bytes(args[position]))
        try:
            if isinstance(exc, _REDIRECTIONS):
                try:
                    return self._cluster._redirected(slot, node, exc, args, options)
                except exceptions.NoScriptError:
                    pass
            self._cluster.execute_command("SCRIPT LOAD", shas[args[1]].script)
            return self._cluster.execute_command(*args, **options)
        except exceptions.RedisError as again:
            return again


_SPLIT = {"MGET", "DEL", "UNLINK", "EXISTS"}
_WITH_SCRIPT = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"}
_WITHOUT_KEY = {
    "PING", "INFO", "TIME", "SCRIPT LOAD", "SCRIPT EXISTS", "SCRIPT FLUSH", "SCRIPT KILL",
    "FLUSHDB", "FLUSHALL", "DBSIZE", "CONFIG GET", "CONFIG SET", "CLUSTER SLOTS", "CLUSTER INFO",
}  # fmt: skip


def _position_of_key(args: Sequence[Any]) -> int | None:
    """Of the first key in a command; None: it has none.

    Raises RedisClusterException for one that this client does not know how to send.
    """
    name = args[0]
    if name in _WITH_SCRIPT:
        if int(args[2]) < 1:
            raise exceptions.RedisClusterException("A script without keys has no node.")
        return 3
    if name in _WITHOUT_KEY:
        return None
    if len(args) < 2 or name in ("SCAN", "KEYS", "XREAD", "XREADGROUP", "PUBLISH"):
        raise exceptions.RedisClusterException(f"{name} is not for a cluster.")
    return 1


def _bytes(key: Any) -> bytes:
    return key.encode() if isinstance(key, str) else bytes(key)


def _ranges(slots: Any) -> Iterable[tuple[tuple[int, int], tuple[str, int]]]:
    """First and last slot, and host and port of their master."""
    for first, last, master, *_ in slots:
        host = master[0].decode() if isinstance(master[0], bytes) else master[0]
        yield (int(first), int(last)), (host, int(master[1]))


def _answers(node: Node) -> bool:
    try:
        node.client.ping()
    except exceptions.RedisError:
        return False
    return True


def _plainly(node: Node, args: Sequence[Any], options: dict[str, Any]) -> Any:
    return node.client.execute_command(*args, **options)


def _ask(node: Node, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """At the node that a slot is being moved to: it takes this one command of a key it has not
    been given yet."""
    pipeline = node.client.pipeline(transaction=False)
    pipeline.execute_command("ASKING")
    pipeline.execute_command(*args, **options)
    answer = pipeline.execute(raise_on_error=False)[1]
    if isinstance(answer, Exception):
        raise answer
    return answer
