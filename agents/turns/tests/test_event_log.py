"""A turn's events in Redis, from any of them on."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from agentflare.ids import uuid7
from agentflare.redis_store import get_redis
from agents.turns import event_log
from agents.turns.event_log import Ends, Entry


def write(code: str, turn_id: UUID, ends: dict[int, Ends], *, count: int) -> None:
    pipeline = get_redis().pipeline()
    for number in range(count):
        body = orjson.dumps({"sequence_number": number}).decode()
        entry = Entry(number, body, ends.get(number, Ends.NOTHING))
        event_log.add_entry(pipeline, event_log.log_key(code, turn_id), entry)
    pipeline.execute()


@pytest.mark.parametrize("pause", [0, 100, 255, 511])
def test_a_replay_goes_on_behind_a_pause_wherever_it_is(acme: Any, pause: int) -> None:
    turn_id = uuid7()
    write(acme.code, turn_id, {pause: Ends.PAUSE, 599: Ends.ALL}, count=600)
    for after in (-1, 50):
        seen = [
            entry.number
            for entries in event_log.follow(acme.code, turn_id, after=after)
            for entry in entries
        ]
        assert seen == list(range(after + 1, 600))


def test_a_replay_ends_at_a_pause_that_lasts(acme: Any) -> None:
    turn_id = uuid7()
    write(acme.code, turn_id, {255: Ends.PAUSE}, count=256)
    seen = [entries[-1].number for entries in event_log.follow(acme.code, turn_id)]
    assert seen == [255]
