"""The connection to Redis: gate, holds, outbox and the cache of API keys.

One server, or a cluster of them: see redis_cluster.py. Celery's broker is another database,
perhaps another server: see settings.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import redis
from django.conf import settings
from redis import exceptions
from redis.backoff import ExponentialBackoff
from redis.client import Pipeline
from redis.commands.core import Script
from redis.connection import DefaultParser
from redis.retry import Retry

from agentflare.breaker import Breaker
from agentflare.redis_cluster import Address, Cluster, Node, is_cluster

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class RedisRefusesError(exceptions.ResponseError):
    """Redis takes nothing for now, whatever it is.

    Its disk is full (MISCONF), its replicas are gone (NOREPLICAS), or it is in somebody's
    endless script (BUSY). redis-py has no names for these.
    """


# What a caller catches when Redis does not do its work: away or loading, too slow, full, a
# replica, emptied between the loading of a script and its use. It passes; an error of a script of
# ours does not, and is none of these.
RedisDownError = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    # Its slot is on its way to another node, and neither has all of it.
    exceptions.TryAgainError,
    exceptions.NoScriptError,
    RedisRefusesError,
)
_Parser = type(
    "_Parser",
    (DefaultParser,),
    {
        "EXCEPTION_CLASSES": DefaultParser.EXCEPTION_CLASSES
        | dict.fromkeys(("MISCONF", "NOREPLICAS", "BUSY"), RedisRefusesError)
    },
)
# Those that cost time: the breaker counts them.
_NO_ANSWER = (exceptions.ConnectionError, exceptions.TimeoutError)


def _probe(url: str = "") -> None:
    client: Any = redis.Redis.from_url(
        url or settings.REDIS_URL,
        socket_timeout=settings.REDIS_PROBE_TIMEOUT_S,
        socket_connect_timeout=settings.REDIS_PROBE_TIMEOUT_S,
        retry=None,
    )
    try:
        client.ping()
    finally:
        client.close()


# Of the one server; the nodes of a cluster have their own.
breaker = Breaker("redis", probe=_probe, errors=(exceptions.RedisError,))
_breakers: dict[Address, Breaker] = {}


def _breaker_of(address: Address, url: str) -> Breaker:
    """Of a node; its clients in this process share it."""
    cause = f"breaker of {address[0]}:{address[1]}"
    return _breakers.setdefault(
        address,
        Breaker("redis", probe=partial(_probe, url), errors=(exceptions.RedisError,), cause=cause),
    )


def is_clustered() -> bool:
    return isinstance(get_redis(), Cluster)


def unanswered(keys: Iterable[str]) -> set[str]:
    """Those whose server does not answer: asked now, whatever is known."""
    client = get_redis()
    if isinstance(client, Cluster):
        return client.unanswered(keys)
    return set() if breaker.ask() else set(keys)


def execute_where_it_answers(pipeline: Any) -> list[Any]:
    """A pipeline's answers; None in the place of those of a cluster's nodes that are away.

    Raises RedisDownError where nobody answers.
    """
    told = pipeline.execute(raise_on_error=False)
    faults = [answer for answer in told if isinstance(answer, Exception)]
    for fault in faults:
        if not isinstance(fault, RedisDownError) or len(faults) == len(told):
            raise fault
    return [None if isinstance(answer, Exception) else answer for answer in told]


def answers(key: str) -> bool:
    """Whether its server does, asked now."""
    return not unanswered([key])


def is_known_down(key: str) -> bool:
    """Whether a call for the key would fail at once. Asks where it is time to."""
    client = get_redis()
    if not isinstance(client, Cluster):
        return breaker.refuses()
    try:
        return client.node_of(key).breaker.refuses()
    except exceptions.ConnectionError:
        return True


def _guarded(breaker: Breaker, call: Callable[..., Result], *args: Any, **options: Any) -> Result:
    """Raises ConnectionError at once while Redis is known to be down."""
    if breaker.is_open and breaker.refuses():
        raise exceptions.ConnectionError("Redis is down: not asked")
    try:
        result = call(*args, **options)
    except _NO_ANSWER:
        breaker.failed()
        raise
    breaker.succeeded()
    return result


class _GuardedPipeline(Pipeline):
    breaker: Breaker

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return _guarded(self.breaker, super().execute, raise_on_error=raise_on_error)
        except BaseException:
            self.reset()
            raise


class _Pool(redis.BlockingConnectionPool):
    """redis-py's looks at the socket before each use, and measures itself: more than half of what
    a command takes here. A connection that was closed meanwhile shows at its first use; one that
    may have an answer left in it was disconnected where that happened."""

    pool: LifoQueue[Any]

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Raises ConnectionError."""
        self._checkpid()
        try:
            connection = self.pool.get(timeout=self.timeout)
        except Empty:
            raise exceptions.ConnectionError("No connection available.") from None
        try:
            if connection is None:
                connection = self.make_connection()  # type: ignore[no-untyped-call]
            if not connection.is_connected:
                connection.connect()
        except BaseException:
            self.pool.put_nowait(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        self._checkpid()
        if self.owns_connection(connection):
            self.pool.put_nowait(connection)
        else:
            connection.disconnect()
            self.pool.put_nowait(None)


class _Script(Script):
    """A script that is asked for by itself goes out as the one command that it is."""

    def __call__(
        self,
        keys: Sequence[Any] | None = None,
        args: Iterable[Any] | None = None,
        client: Any = None,
    ) -> Any:
        keys, args = keys or (), tuple(args or ())
        if client is None:
            ask: Any = self.registered_client.execute_command
            try:
                return ask("EVALSHA", self.sha, len(keys), *keys, *args)
            except exceptions.NoScriptError:
                logger.info("Redis does not know a script yet, or no longer")
        return super().__call__(keys, args, client)


class _GuardedRedis(redis.Redis):
    breaker: Breaker

    def register_script(self, script: Any) -> Script:
        return _Script(self, script)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return _guarded(self.breaker, self._ask, *args, **options)

    def _ask(self, *args: Any, **options: Any) -> Any:
        """One command, there and back; what is out of the ordinary is redis-py's to handle."""
        as_usual: Any = super().execute_command
        if options or args[0] in self.response_callbacks:
            return as_usual(*args, **options)
        connection: Any = self.connection_pool.get_connection()
        try:
            connection.send_command(*args)
            return connection.read_response()
        except exceptions.ConnectionError:
            connection.disconnect()
        finally:
            self.connection_pool.release(connection)
        # The connection had been closed meanwhile, perhaps: again, and as often as `retry` says.
        return as_usual(*args)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        pipeline = _GuardedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipeline.breaker = self.breaker
        return pipeline


class _GuardedQueue(LifoQueue[Any]):
    """The pool's free connections. Who waited for one must not find out anew that Redis is down."""

    def __init__(self, breaker: Breaker, size: int) -> None:
        super().__init__(size)
        self._breaker = breaker

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        connection = super().get(block, timeout)
        if self._breaker.is_open:
            self.put_nowait(connection)
            raise Empty
        return connection


@cache
def get_redis() -> Any:
    """This process' client, a redis.Redis (or the same commands of a cluster) that answers in str.

    Typed Any: redis-py's stubs answer bytes, str and awaitables at once. Made at first use,
    hence after gunicorn or Celery has forked.

    Commands that meet a broken connection are sent again: every script here is
    idempotent by request id, and everything else is a read. One that was not answered in time
    is not: its caller has waited long enough.
    """
    if is_cluster(settings.REDIS_URL):
        return get_cluster()
    return _connect(settings.REDIS_URL, breaker)


def get_cluster(*, decode_responses: bool = True) -> Cluster:
    """Another client of the cluster; its nodes' breakers are the same. A cluster has no databases:
    whoever wants one of its own begins the names of its keys otherwise."""

    def make_node(address: Address, url: str) -> Node:
        own = _breaker_of(address, url)
        return Node(address, _connect(url, own, decode_responses=decode_responses), own)

    return Cluster(settings.REDIS_URL, make_node)


def _connect(url: str, breaker: Breaker, *, decode_responses: bool = True) -> _GuardedRedis:
    pool = _Pool.from_url(
        url,
        max_connections=settings.REDIS_MAX_CONNECTIONS,
        # For a connection of ours to be free: a burst of calls waits, and is not refused.
        timeout=settings.REDIS_POOL_TIMEOUT_S,
        queue_class=partial(_GuardedQueue, breaker),
        parser_class=_Parser,
        socket_timeout=settings.REDIS_TIMEOUT_S,
        socket_connect_timeout=settings.REDIS_TIMEOUT_S,
        retry=Retry(
            ExponentialBackoff(cap=0.2, base=0.02),
            retries=2,
            supported_errors=(exceptions.ConnectionError,),
        ),
        decode_responses=decode_responses,
    )
    client = _GuardedRedis(connection_pool=pool)
    client.breaker = breaker
    return client


def moment_of(entry_id: str) -> float:
    """When an entry came into its stream, by Redis' clock, in seconds since 1970: the first part
    of its id is that in ms."""
    return int(entry_id.partition("-")[0]) / 1000
