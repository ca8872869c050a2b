"""No 60 seconds ever admit more than the limit: random arrivals from several processes."""

import multiprocessing
import random
from collections.abc import Iterator
from typing import Any

import pytest

from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.gate import HoldKeys
from billing.admission.rules import Rules
from billing.admission.tests.builders import event
from tenants.limits import Limits

MINUTE_MS = 60_000
LIMITS = Limits(requests_per_minute=40, tokens_per_minute=2_000)
CLOCK = "{test}:clock"
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
    get_redis().delete(CLOCK)


def call_for_minutes(cast: Any, seed: int, results: Any) -> None:
    """One process: calls at random moments, in bursts and pauses, each corrected when it ends."""
    get_redis.cache_clear()
    chance = random.Random(seed)
    for _ in range(300):
        pause_ms = chance.choice([0, 0, 3, 40, 200, chance.randint(0, 4_000)])
        get_redis().incrby(CLOCK, pause_ms)
        tokens = chance.choice([1, 20, 200])
        call = event(cast, 1)
        keys = HoldKeys.of(call)
        verdict, *_ = gate.admit(
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
        admitted_ms = int(get_redis().hget(keys.hold, "since"))
        used = chance.choice([tokens, tokens // 2, 0])
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


@pytest.mark.usefixtures("turned_clock")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_window_of_a_minute_admits_more_than_the_limit(acme: Any, seed: int) -> None:
    run = gate.run_of(acme.code)
    gate.sync(tenant_code=acme.code, posted_nusd=10**9, version=1, run=run)
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    processes = [
        fork.Process(target=call_for_minutes, args=(acme, 10 * seed + number, results))
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
