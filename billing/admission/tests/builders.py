"""Calls as admission sees them."""

from typing import Any

from agentflare.ids import uuid7
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.usage.events import UsageEvent

USD = 1_000_000_000


def event(cast: Any, amount_nusd: int, **fields: Any) -> UsageEvent:
    return UsageEvent(
        **{
            "request_id": uuid7().hex,
            "tenant_code": cast.code,
            "key_id": "abcdefgh",
            "endpoint": "chat.completions",
            "ai_model": "llama-3.3-70b-fast",
            "upstream_model": "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
            "is_stream": False,
            "estimated_nusd": amount_nusd,
            "price_version_id": 1,
            "started_at": 1_800_000_000.0,
            **fields,
        }
    )


def outbox_of(cast: Any) -> list[UsageEvent]:
    partition = gate.partition_of(cast.code)
    entries = get_redis().xrange(gate.outbox_key(partition))
    return [
        UsageEvent.loads(fields["event"]) for _, fields in entries if fields["tenant"] == cast.code
    ]


def window_of(keys: gate.HoldKeys, number: int = 0) -> tuple[int, int, int]:
    """Requests, tokens and running calls: of the tenant, the key, or the key at the model."""
    (facts,) = gate.peek([keys.windows[number]])
    requests, tokens, running = facts
    return requests, tokens, running


def turn_back(keys: gate.HoldKeys, seconds: int) -> None:
    """As if all that the call's windows have counted had come so many seconds earlier."""
    redis = get_redis()
    for window in keys.windows:
        moved = {}
        for name, value in redis.hgetall(window).items():
            if name == "tail":
                moved[name] = str(int(value) - seconds)
            elif name[0] in "rt" and name[1:].isdecimal():
                moved[f"{name[0]}{int(name[1:]) - seconds}"] = value
            else:
                moved[name] = value
        redis.delete(window)
        if moved:
            redis.hset(window, mapping=moved)
    if redis.exists(keys.hold):
        redis.hincrby(keys.hold, "second", -seconds)
