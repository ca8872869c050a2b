"""Which turns some process works at: leases in Redis, renewed while it lives.

`{pNN}:turns` is a sorted set of a partition's turns (`<tenant>:<turn>`) by when their leases end,
in seconds since 1970. One that has ended was left by a process that died, or that stood still for
so long that nobody waits for it: whoever notices ends the turn (`healing.py`). What such a process
writes afterwards is refused by PostgreSQL, where the turn has ended.

While Redis was away nobody could renew anything. Whoever renews or looks notes when it did so;
after a gap nobody is taken for dead for as long as a lease lives.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings

from agentflare.background import ProcessThread
from agentflare.partitions import PARTITIONS, partition_key, partition_of
from agentflare.redis_store import RedisDownError, execute_where_it_answers, get_redis

logger = logging.getLogger(__name__)
Lease = tuple[str, UUID]

_held: set[Lease] = set()


def take(tenant_code: str, turn_id: UUID) -> None:
    """From now on it is this process'. Raises RedisDownError."""
    lease = (tenant_code, turn_id)
    _renew([lease])
    _held.add(lease)
    _keeper.start()


def give_back(tenant_code: str, turn_id: UUID) -> None:
    """The turn has ended. A repeat changes nothing; while Redis is down its lease runs out."""
    lease = (tenant_code, turn_id)
    _held.discard(lease)
    try:
        get_redis().zrem(_key(partition_of(tenant_code)), _member(lease))
    except RedisDownError:
        logger.info("Redis is down: the lease of turn %s runs out", turn_id.hex)


def is_alive(tenant_code: str, turn_id: UUID) -> bool:
    """Whether somebody works at it.

    Redis may have been emptied: one that it does not know gets a lease, which its process renews
    if it lives. Raises RedisDownError.
    """
    if (tenant_code, turn_id) in _held:
        return True
    key, member = _key(partition_of(tenant_code)), _member((tenant_code, turn_id))
    until = get_redis().zscore(key, member)
    if until is None:
        get_redis().zadd(key, {member: _end()}, nx=True)
        return True
    partition = partition_of(tenant_code)
    return float(until) > time.time() or partition not in _may_judge([partition])


def ended() -> list[Lease]:
    """Those that were left, of all tenants whose Redis answers. Raises RedisDownError."""
    judged = _may_judge(range(PARTITIONS))
    pipeline = get_redis().pipeline(transaction=False)
    now = time.time()
    for partition in judged:
        pipeline.zrangebyscore(_key(partition), "-inf", now)
    told = execute_where_it_answers(pipeline)
    left = [_lease(member) for members in told for member in members or ()]
    return [lease for lease in left if lease not in _held]


def _may_judge(partitions: Iterable[int]) -> list[int]:
    """Those whose Redis was there for a whole lease: before that, who is alive may not have said
    so."""
    since = _note_look(partitions)
    now = time.time()
    return [each for each, moment in since.items() if now - moment > settings.TURN_LEASE_S]


def _note_look(partitions: Iterable[int]) -> dict[int, float]:
    """Somebody looks. Since when nobody had to wait long for that, in seconds since 1970, by
    partition; those whose node is away are left out."""
    partitions, gap_s = list(partitions), settings.TURN_LEASE_S * 2 / 3
    pipeline = get_redis().pipeline(transaction=False)
    for partition in partitions:
        pipeline.eval(_NOTE_LOOK, 1, looks_key(partition), time.time(), gap_s)
    told = zip(partitions, execute_where_it_answers(pipeline), strict=True)
    return {partition: float(since) for partition, since in told if since is not None}


def looks_key(partition: int) -> str:
    """Hash: when somebody looked last, and since when nobody had to wait long for that."""
    return partition_key(partition, "turns:looks")


_NOTE_LOOK = """
local now = tonumber(ARGV[1])
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
if now - last > tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], 'since', ARGV[1])
end
redis.call('HSET', KEYS[1], 'last', ARGV[1])
return redis.call('HGET', KEYS[1], 'since')
"""


def _renew(leases: list[Lease]) -> None:
    by_key: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for lease in leases:
        by_key[_key(partition_of(lease[0]))][_member(lease)] = _end()
    pipeline = get_redis().pipeline(transaction=False)
    for key, members in by_key.items():
        pipeline.zadd(key, members)
    pipeline.execute()


def _keep() -> None:
    while True:
        time.sleep(settings.TURN_LEASE_S / 4)
        if not _held:
            continue
        try:
            leases = list(_held)
            _renew(leases)
            _note_look({partition_of(tenant_code) for tenant_code, _ in leases})
            # Ended meanwhile: it must not stand there as if it had been left.
            for tenant_code, turn_id in set(leases) - _held:
                give_back(tenant_code, turn_id)
        except RedisDownError:
            pass  # nobody can take them for dead either
        except Exception:  # a thread that must go on
            logger.exception("The leases of turns cannot be renewed")


def _end() -> float:
    return time.time() + settings.TURN_LEASE_S


def _key(partition: int) -> str:
    return partition_key(partition, "turns")


def _member(lease: Lease) -> str:
    return f"{lease[0]}:{lease[1].hex}"


def _lease(member: str) -> Lease:
    tenant_code, _, turn = member.partition(":")
    return tenant_code, UUID(hex=turn)


_keeper = ProcessThread("turn-leases", _keep)
