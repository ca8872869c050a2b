"""One client for a cluster of three Valkeys whose slots move and whose nodes die."""

from typing import Any

import pytest
from redis import exceptions

from agentflare.cache import ClusterCache
from agentflare.health import check_redis
from agentflare.partitions import PARTITIONS, partition_key
from agentflare.redis_cluster import node_urls
from agentflare.redis_store import (
    RedisDownError,
    execute_where_it_answers,
    get_cluster,
    get_redis,
    unanswered,
)
from sandbox.embedded.cluster import ValkeyCluster, ValkeyNode
from sandbox.testing import wait_until

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + (redis.call('GET', KEYS[2]) or 0)"


@pytest.fixture
def redis(own_cluster: ValkeyCluster) -> Any:
    client = get_redis()
    client.flushall()
    return client


def keys(name: str) -> list[str]:
    """One in every partition: they lie on all nodes."""
    return [partition_key(partition, name) for partition in range(PARTITIONS)]


def answers_all(redis: Any) -> bool:
    try:
        return len(redis.mget(keys("n"))) == PARTITIONS
    except RedisDownError:
        return False


def other_than(cluster: ValkeyCluster, node: ValkeyNode) -> ValkeyNode:
    return next(each for each in cluster.masters if each is not node)


def test_a_url_names_nodes_and_what_all_of_them_are_asked_with() -> None:
    assert node_urls("rediss+cluster://app:p%40ss@a:7000,b,[fd00::1]:7001?ssl_cert_reqs=none") == {
        ("a", 7000): "rediss://app:p%40ss@a:7000/0?ssl_cert_reqs=none",
        ("b", 6379): "rediss://app:p%40ss@b:6379/0?ssl_cert_reqs=none",
        ("fd00::1", 7001): "rediss://app:p%40ss@[fd00::1]:7001/0?ssl_cert_reqs=none",
    }


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+cluster://", "must name nodes"),
        ("redis+cluster://a:1,:2", "must name nodes"),
        ("redis+cluster://a:1/3", "cannot name a database"),
        ("redis+cluster://a:port", "Port could not be cast"),
    ],
)
def test_a_url_that_cannot_be_is_refused_in_words(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        node_urls(url)


def test_the_partitions_lie_on_all_nodes(own_cluster: ValkeyCluster) -> None:
    owners = {own_cluster.owner(own_cluster.slot(key)).port for key in keys("x")}
    assert owners == {node.port for node in own_cluster.masters}


def test_commands_reach_the_nodes_that_have_their_keys(redis: Any) -> None:
    for number, key in enumerate(keys("n")):
        redis.set(key, number)

    assert redis.mget([*keys("n"), "none"]) == [*map(str, range(PARTITIONS)), None]
    assert redis.exists(*keys("n"), "none") == PARTITIONS
    assert redis.delete(*keys("n")) == PARTITIONS
    assert redis.ping()


def test_a_pipeline_answers_in_order_whichever_nodes_its_keys_are_on(redis: Any) -> None:
    add = redis.register_script(ADD)
    pipeline = redis.pipeline(transaction=False)
    for number, key in enumerate(keys("n")):
        pipeline.hset(key.replace(":n", ":h"), "field", number)
        add(keys=[key, key.replace(":n", ":m")], args=[number], client=pipeline)

    assert pipeline.execute()[1::2] == list(range(PARTITIONS))


def test_what_a_cluster_cannot_do_at_once_is_refused_and_not_done(redis: Any) -> None:
    pipeline = redis.pipeline()
    pipeline.set("{p1}:a", 1)
    pipeline.set("{p2}:a", 1)
    with pytest.raises(exceptions.RedisClusterException, match="one slot"):
        pipeline.execute()
    with pytest.raises(exceptions.RedisClusterException, match="not for a cluster"):
        redis.keys("*")
    with pytest.raises(exceptions.ResponseError, match="same slot"):
        redis.eval(ADD, 2, "{p1}:a", "{p2}:a", 1)

    assert redis.mget("{p1}:a", "{p2}:a") == [None, None]


def test_a_slot_that_moves_is_followed(redis: Any, own_cluster: ValkeyCluster) -> None:
    add = redis.register_script(ADD)
    key, second = "{p7}:n", "{p7}:m"
    assert add(keys=[key, second], args=[1]) == 1
    slot = own_cluster.slot(key)

    own_cluster.move(slot, other_than(own_cluster, own_cluster.owner(slot)))
    assert add(keys=[key, second], args=[1]) == 2

    own_cluster.move(slot, other_than(own_cluster, own_cluster.owner(slot)))
    pipeline = redis.pipeline(transaction=False)
    pipeline.set("{p8}:other", 1)
    pipeline.set(second, 10)
    add(keys=[key, second], args=[1], client=pipeline)
    assert pipeline.execute()[1:] == [True, 13]

    own_cluster.move(slot, other_than(own_cluster, own_cluster.owner(slot)))
    pipeline = redis.pipeline()
    pipeline.incr(key)
    pipeline.incr(key)
    assert pipeline.execute() == [4, 5]
    assert not unanswered(keys("x"))


def test_a_slot_that_moves_key_by_key_is_served_where_its_keys_are(
    redis: Any, own_cluster: ValkeyCluster
) -> None:
    names = [f"{{p9}}:{number}" for number in range(20)]
    for name in names:
        redis.set(name, name)
    slot = own_cluster.slot(names[0])
    seen = []

    def look() -> None:
        seen.extend(redis.get(name) for name in names)
        redis.set("{p9}:new", "new")
        seen.append(redis.get("{p9}:new"))
        with pytest.raises(RedisDownError):
            redis.eval("return redis.call('MGET', unpack(KEYS))", len(names), *names)

    to = other_than(own_cluster, own_cluster.owner(slot))
    own_cluster.move_key_by_key(slot, to, between=look)

    assert seen == [*names, "new"]
    assert redis.mget(names) == names
    assert own_cluster.owner(slot) is to


def test_what_is_not_on_a_dead_node_goes_on_and_the_rest_when_it_is_back(
    redis: Any, own_cluster: ValkeyCluster
) -> None:
    for number, key in enumerate(keys("n")):
        redis.set(key, number)
    dead = own_cluster.masters[1]
    lost = {key for key in keys("n") if own_cluster.owner(own_cluster.slot(key)) is dead}
    assert 10 < len(lost) < 40

    dead.kill()
    pipeline = redis.pipeline(transaction=False)
    for key in keys("n"):
        pipeline.get(key)
    answers = execute_where_it_answers(pipeline)
    assert {key for key, answer in zip(keys("n"), answers, strict=True) if answer is None} == lost
    assert unanswered(keys("n")) == lost
    assert redis.ping()
    for key in lost:
        with pytest.raises(RedisDownError):
            redis.get(key)

    assert check_redis() == "partly down"

    dead.start_again()
    # It answers before the others take it for one of them: CLUSTERDOWN until then.
    wait_until(lambda: not unanswered(keys("n")) and answers_all(redis))
    assert redis.mget(keys("n")) == [*map(str, range(PARTITIONS))]
    assert check_redis() == "ok"


def test_djangos_cache_is_spread_over_the_nodes(redis: Any, own_cluster: ValkeyCluster) -> None:
    cache = ClusterCache(own_cluster.url, {"KEY_PREFIX": "cache"})
    names = [f"name{number}" for number in range(20)]
    cache.set_many({name: {"name": name} for name in names}, 60)
    assert cache.get_many([*names, "none"]) == {name: {"name": name} for name in names}
    assert not cache.add("name1", 1, 60)
    assert (cache.add("count", 1, 60), cache.incr("count", 2)) == (True, 3)
    cache.delete_many(names)
    assert cache.get_many(names) == {}
    with pytest.raises(NotImplementedError):
        cache.clear()


def test_bytes_stay_bytes_for_who_asks_so(redis: Any) -> None:
    raw = get_cluster(decode_responses=False)
    raw.set("picture", b"\xff\x00")
    assert raw.get("picture") == b"\xff\x00"
