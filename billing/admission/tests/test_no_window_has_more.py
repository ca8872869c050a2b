"""No 60 seconds ever admit more than the limit: random arrivals from several processes."""

import multiprocessing
import random
from collections.abc import Iterator
from typing import Any

import pytest

from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.gate import HoldKeys
from billing.admission.marks import set_marks
from billing.admission.rules import Rules
from billing.admission.tests.builders import event
from tenants.limits import Limits

MINUTE_MS = 60_000
LIMITS = Limits(requests_per_minute=40, tokens_per_minute=2_000)
CLOCK = "{test}:clock"
# Hashes by second: what the processes remember, and what PostgreSQL admitted.
MEMORY, PLACED = "{test}:memory", "{test}:placed"
# The scripts' own clock is Redis'; here it is one that the callers turn, minutes in a moment.
REAL_CLOCK = "local time = redis.call('TIME')"
TURNED_CLOCK = (
    f"local ms = tonumber(redis.call('GET', '{CLOCK}')); "
    "local time = {tostring(math.floor(ms / 1000)), tostring((ms % 1000) * 1000)}"
)
Admission = tuple[int, int]


@pytest.fixture
def turned_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registered: dict[str, Any] = {}

    def script(name: str) -> Any:
        if name not in registered:
            texts = [(gate._SCRIPTS / f"{each}.lua").read_text() for each in ("shared", name)]
            assert REAL_CLOCK in texts[0]
            text = "".join(texts).replace(REAL_CLOCK, TURNED_CLOCK)
            registered[name] = get_redis().register_script(text)
        return registered[name]

    monkeypatch.setattr(gate, "script", script)
    get_redis().set(CLOCK, 1_800_000_000_000)
    yield
    get_redis().delete(CLOCK, MEMORY, PLACED)


def call_for_minutes(cast: Any, seed: int, results: Any, alone: Any, has_outages: bool) -> None:
    """One process: calls at random moments, in bursts and pauses, each corrected when it ends.

    alone: nobody is admitted by Redis while it is told what it has lost.
    """
    get_redis.cache_clear()
    chance = random.Random(seed)
    for _ in range(300):
        if has_outages and chance.random() < 0.05:
            with alone:
                for admission in lose_and_tell_again(cast, chance):
                    results.put(admission)
        pause_ms = chance.choice([0, 0, 3, 40, 200, chance.randint(0, 4_000)])
        get_redis().incrby(CLOCK, pause_ms)
        tokens = chance.choice([1, 20, 200])
        call = event(cast, 1)
        keys = HoldKeys.of(call)
        with alone:
            verdict, *facts = gate.admit(
                keys,
                request_id=call.request_id,
                tenant_code=cast.code,
                amount_nusd=1,
                event=call.dumps(),
                tokens=tokens,
                rules=Rules(tenant=LIMITS),
            )
            if verdict != "held":
                continue
            second = int(facts[1])
            remember(MEMORY, second, requests=1, tokens=tokens)
        admitted_ms = int(get_redis().hget(keys.hold, "since"))
        used = chance.choice([tokens, tokens // 2, 0])
        with alone:
            remember(MEMORY, second, requests=0, tokens=used - tokens)
            gate.capture(
                keys,
                request_id=call.request_id,
                tenant_code=cast.code,
                cost_nusd=0,
                event=call.dumps(),
                tokens=used,
            )
        results.put((admitted_ms, used))
    results.put(None)


def lose_and_tell_again(cast: Any, chance: random.Random) -> Iterator[Admission]:
    """An outage: Redis loses the minute, a part of it, or nothing. Meanwhile PostgreSQL admits."""
    redis = get_redis()
    window = gate.window_keys(cast.code, "abcdefgh", "m")[0]
    again = window.replace(":window:", ":again:")
    match chance.choice(["lost", "kept", "a part"]):
        case "lost":
            redis.delete(window, again)
        case "a part" if redis.exists(window):
            at = chance.choice([name for name in redis.hkeys(window) if name[0] == "r"])
            if (second := at[1:]).isdigit():
                requests, tokens = redis.hmget(window, f"r{second}", f"t{second}")
                redis.hincrby(window, "requests", -int(requests))
                redis.hincrby(window, "tokens", -int(tokens or 0))
                redis.hdel(window, f"r{second}", f"t{second}")
                redis.hdel(again, f"r{second}", f"t{second}")
    for _ in range(chance.randint(0, 3)):
        now_ms = int(redis.incrby(CLOCK, chance.randint(0, 900)))
        tokens = chance.choice([1, 200])
        counts = last_minute(now_ms // 1000).values()
        requests = sum(each[0] + each[2] for each in counts)
        sum_of_tokens = sum(each[1] + each[3] for each in counts)
        if (
            requests + 1 <= (LIMITS.requests_per_minute or 0)
            and sum_of_tokens + tokens <= (LIMITS.tokens_per_minute or 0)
        ):  # fmt: skip
            remember(PLACED, now_ms // 1000, requests=1, tokens=tokens)
            yield now_ms, tokens
    now_s = int(redis.get(CLOCK)) // 1000
    for _ in range(chance.randint(1, 2)):
        gate.count_again(window, last_minute(now_s), client=redis)


def remember(name: str, second: int, *, requests: int, tokens: int) -> None:
    get_redis().hincrby(name, f"r{second}", requests)
    get_redis().hincrby(name, f"t{second}", tokens)


def last_minute(now_s: int) -> dict[int, list[int]]:
    seconds: dict[int, list[int]] = {}
    for at, name in ((0, MEMORY), (2, PLACED)):
        for field, value in get_redis().hgetall(name).items():
            if (second := int(field[1:])) >= now_s - 60:
                counts = seconds.setdefault(second, [0, 0, 0, 0])
                counts[at + (field[0] == "t")] += int(value)
    return seconds


@pytest.mark.usefixtures("turned_clock")
@pytest.mark.parametrize(
    ("seed", "has_outages"), [(1, False), (2, False), (3, False), (4, True), (5, True), (6, True)]
)
def test_no_window_of_a_minute_admits_more_than_the_limit(
    acme: Any, seed: int, has_outages: bool
) -> None:
    set_marks()
    run = gate.run_of(acme.code)
    gate.sync(tenant_code=acme.code, posted_nusd=10**9, version=1, run=run)
    fork = multiprocessing.get_context("fork")
    results, alone = fork.Queue(), fork.Lock()
    processes = [
        fork.Process(
            target=call_for_minutes,
            args=(acme, 10 * seed + number, results, alone, has_outages),
        )
        for number in range(4)
    ]
    for process in processes:
        process.start()
    admissions: list[Admission] = []
    running = len(processes)
    while running:
        result = results.get(timeout=60)
        if result is None:
            running -= 1
        else:
            admissions.append(result)
    for process in processes:
        process.join()

    fullest_requests, fullest_tokens = fullest_windows(sorted(admissions))
    assert fullest_requests <= (LIMITS.requests_per_minute or 0)
    assert fullest_tokens <= (LIMITS.tokens_per_minute or 0)
    # And it is used: the limit is what refused, over many minutes.
    assert fullest_requests >= 0.9 * (LIMITS.requests_per_minute or 0)
    admissions.sort()
    assert admissions[-1][0] - admissions[0][0] > 3 * MINUTE_MS


def fullest_windows(admissions: list[Admission]) -> tuple[int, int]:
    """The most requests, and the most tokens, that any 60 seconds had."""
    most_requests = most_tokens = tokens = start = 0
    for end, (admitted_ms, used) in enumerate(admissions):
        tokens += used
        while admissions[start][0] <= admitted_ms - MINUTE_MS:
            tokens -= admissions[start][1]
            start += 1
        most_requests = max(most_requests, end - start + 1)
        most_tokens = max(most_tokens, tokens)
    return most_requests, most_tokens
