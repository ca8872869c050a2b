"""What settled calls tell about estimates, handed on to whoever learns from it.

A short list per partition in Redis, the newest facts only: nothing is owed to it, and the learner
may be away. Settlement neither waits for it nor fails by it.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

import orjson

from agentflare.partitions import PARTITIONS, partition_key
from agentflare.redis_store import RedisDownError, execute_where_it_answers, get_redis
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth

logger = logging.getLogger(__name__)
# Of each partition. More than this between two rounds of the learner are lost, and not missed.
_KEPT = 5_000
# Of one batch: a thousand calls more of one tenant tell nothing new.
_OF_A_BATCH = 200


@dataclass(frozen=True, slots=True)
class PromptFact:
    """One call's prompt: tokens as estimated before any correction, and as upstream counted."""

    tenant_code: str
    ai_model: str
    script: str
    likely_tokens: int
    most_tokens: int
    real_tokens: int


def push_facts(partition: int, events: Iterable[UsageEvent]) -> None:
    """Hand on what these calls tell. Never raises for Redis."""
    facts = [orjson.dumps(astuple(fact)).decode() for fact in facts_of(events)][:_OF_A_BATCH]
    if not facts:
        return
    try:
        pipeline = get_redis().pipeline(transaction=False)
        pipeline.rpush(_key(partition), *facts)
        pipeline.ltrim(_key(partition), -_KEPT, -1)
        pipeline.execute()
    except RedisDownError as exc:
        logger.warning("Facts of %d prompts are lost to learning: %s", len(facts), exc)


def facts_of(events: Iterable[UsageEvent]) -> Iterator[PromptFact]:
    """Of those calls that ended well and whose prompt upstream has counted."""
    for event in events:
        real = event.input_tokens + event.cached_input_tokens
        if (
            event.script
            and event.likely_tokens > 0
            and real > 0
            and event.status == Status.COMPLETED
            and event.truth == Truth.PROVIDER
        ):
            yield PromptFact(
                event.tenant_code,
                event.ai_model,
                event.script,
                event.likely_tokens,
                event.most_tokens,
                real,
            )


def pop_facts(partition: int) -> list[PromptFact]:
    """Take the partition's facts, oldest first. What cannot be read is dropped."""
    facts = []
    for text in get_redis().lpop(_key(partition), _KEPT) or []:
        try:
            facts.append(PromptFact(*orjson.loads(text)))
        except (TypeError, ValueError):
            logger.warning("An unreadable fact in partition %d is dropped", partition)
    return facts


def partitions_with_facts() -> list[int]:
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.exists(_key(partition))
    return [number for number, found in enumerate(execute_where_it_answers(pipeline)) if found]


def _key(partition: int) -> str:
    return partition_key(partition, "prompt_facts")
