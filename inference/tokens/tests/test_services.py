"""From settled calls to corrected bounds, through Redis and PostgreSQL."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from redis import exceptions

from agentflare.partitions import partition_key, partition_of
from agentflare.redis_store import get_redis
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.settlement.prompt_facts import PromptFact, pop_facts, push_facts
from billing.settlement.services import settle_partition
from inference.tokens import selectors, services
from inference.tokens.bounds import token_bound
from inference.tokens.learning import Correction
from inference.tokens.measures import measure
from inference.tokens.models import PromptCorrection, PromptEvidence
from inference.tokens.services import learn, store_evidence, update_correction

TENANTS = ["acme", "globex", "initech"]
CELL = ("llama-3.3-70b-fast", "english", 1)


@pytest.fixture(autouse=True)
def _nothing_learned(_database: None) -> Iterator[None]:
    for partition in range(64):
        get_redis().delete(partition_key(partition, "prompt_facts"))
    PromptEvidence.objects.all().delete()
    PromptCorrection.objects.all().delete()
    selectors.forget()
    yield
    selectors.forget()


def facts(real: int, calls: int, tenants: list[str] = TENANTS, **changes: Any) -> list[PromptFact]:
    """Calls that were thought to take 100 tokens, and 140 at most."""
    model, script, _ = CELL
    values = {"likely_tokens": 100, "most_tokens": 140, "real_tokens": real} | changes
    return [PromptFact(tenant, model, script, **values) for tenant in tenants for _ in range(calls)]


def hand_on(fact: PromptFact, partition: int = 0) -> None:
    get_redis().rpush(partition_key(partition, "prompt_facts"), json.dumps(astuple(fact)))


def learn_from(found: list[PromptFact], *, now: datetime | None = None) -> Correction | None:
    moment = now or timezone.now()
    cells = store_evidence(found, now=moment) | services.forget_old_evidence(now=moment)
    for cell in cells:
        update_correction(cell, now=moment)
    selectors.refresh()
    return selectors.correction(CELL)


def settled_call(cast: Any, **fields: Any) -> None:
    estimate = {"script": "english", "likely_tokens": 100, "most_tokens": 140}
    hold = admit(event=event(cast, 1, **estimate))
    result = {"status": "completed", "truth": "provider", "input_tokens": 90} | fields
    capture(hold, hold.event.with_(**result))


def test_a_settled_call_teaches_once(acme: Any) -> None:
    partition = partition_of(acme.code)
    settle_partition(partition=partition)
    pop_facts(partition)
    settled_call(acme, input_tokens=80, cached_input_tokens=10)

    settle_partition(partition=partition)

    (fact,) = pop_facts(partition)
    assert (fact.tenant_code, fact.real_tokens, fact.likely_tokens) == (acme.code, 90, 100)
    assert pop_facts(partition) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"script": ""},
        {"likely_tokens": 0},
        {"input_tokens": 0},
        {"truth": "counted"},
        {"status": "client_gone"},
    ],
)
def test_calls_whose_prompt_is_not_known_teach_nothing(acme: Any, fields: dict[str, Any]) -> None:
    partition = partition_of(acme.code)
    settled_call(acme, **fields)

    settle_partition(partition=partition)

    assert pop_facts(partition) == []


def test_settlement_goes_on_when_facts_cannot_be_handed_on(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise exceptions.ConnectionError

    settled_call(acme)
    monkeypatch.setattr("billing.settlement.prompt_facts.get_redis", refuse)

    # Other tests' calls may wait in the same partition.
    assert settle_partition(partition=partition_of(acme.code)) >= 1


def test_only_the_newest_facts_are_kept(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.settlement.prompt_facts._KEPT", 3)
    done = event(acme, 1, status="completed", truth="provider", script="thai", likely_tokens=5)

    push_facts(1, [done.with_(input_tokens=n) for n in (1, 2, 3, 4, 5)])

    assert [fact.real_tokens for fact in pop_facts(1)] == [3, 4, 5]


def test_unreadable_facts_are_dropped() -> None:
    get_redis().rpush(partition_key(1, "prompt_facts"), "[]", "no json", "[1, 2]")

    assert pop_facts(1) == []


def test_calls_change_the_bounds_of_the_next_ones(acme: Any) -> None:
    text = measure("Please write to the team that the work is done. " * 15)
    model = {"model": CELL[0], "vocabulary": "llama3"}
    selectors.refresh()
    start = token_bound(text, **model)
    real = round(start.likely * 0.9)
    told = {"likely_tokens": start.likely, "most_tokens": start.most}
    for fact in facts(real, 300, **told):
        hand_on(fact)

    assert learn() == 900

    selectors.refresh()
    after = token_bound(text, **model)
    assert real <= after.most < start.most
    assert after.likely == pytest.approx(real, abs=2)
    assert after.facts == start.facts
    row = PromptCorrection.objects.get(size=1)
    assert (row.calls, row.tenants, row.may_lower) == (900, 3, True)


def test_a_rise_upstream_is_followed_at_once() -> None:
    learn_from(facts(real=100, calls=400))

    found = learn_from(facts(real=180, calls=40))

    assert found is not None
    assert 100 + found.most * 40 >= 180


def test_a_fall_upstream_is_followed_within_a_day() -> None:
    now = timezone.now()
    learn_from(facts(real=135, calls=400), now=now)

    same_day = learn_from(facts(real=60, calls=400), now=now + timedelta(hours=8))
    next_day = learn_from(facts(real=60, calls=400), now=now + timedelta(hours=24))

    assert same_day is not None
    assert next_day is not None
    assert 100 + same_day.most * 40 >= 135
    assert 60 <= 100 + next_day.most * 40 <= 70


def test_without_calls_for_a_day_start_values_stand_again() -> None:
    now = timezone.now()
    assert learn_from(facts(real=100, calls=400), now=now) is not None

    assert learn_from([], now=now + timedelta(hours=25)) is None
    assert not PromptEvidence.objects.exists()


def test_one_hostile_tenant_moves_nobody_else_out_of_bounds() -> None:
    honest = learn_from(facts(real=100, calls=400))

    high = learn_from(facts(real=100_000, calls=2_000, tenants=["mallory"]))
    assert high is not None
    assert 100 + high.most * 40 <= 140  # no more than was held before anything was learned

    low = learn_from(facts(real=1, calls=2_000, tenants=["eve"]))
    assert honest is not None
    assert low is not None
    assert low.most >= honest.most - 0.1


def test_other_start_values_forget_what_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert learn_from(facts(real=100, calls=400)) is not None

    for module in (services, selectors):
        monkeypatch.setattr(module, "basis", lambda: "new")

    assert learn_from([]) is None
    assert not PromptCorrection.objects.exists()


def test_a_cell_keeps_evidence_of_a_bounded_number_of_tenants() -> None:
    learn_from(facts(real=100, calls=1, tenants=[f"t{n}" for n in range(200)]))

    assert PromptEvidence.objects.count() == 64


def test_learners_at_the_same_time_count_every_fact_once() -> None:
    for _ in range(5):
        for partition in range(8):
            for _ in range(50):
                hand_on(PromptFact("acme", "m", "thai", 100, 140, 110), partition)

        def run(_: int) -> int:
            try:
                return learn()
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
    learn()

    row = PromptEvidence.objects.get(ai_model="m")
    assert sum(row.scores.values()) == 5 * 8 * 50


def test_a_request_never_waits_for_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("PostgreSQL is down")

    monkeypatch.setattr(selectors, "REFRESH_S", 0.0)
    monkeypatch.setattr(selectors, "read_snapshot", away)

    assert [selectors.correction(CELL) for _ in range(50)] == [None] * 50


def test_the_last_snapshot_stands_while_postgresql_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = learn_from(facts(real=100, calls=400))

    def away() -> None:
        raise OSError("PostgreSQL is down")

    monkeypatch.setattr(selectors, "REFRESH_S", 0.0)
    monkeypatch.setattr(selectors, "read_snapshot", away)

    assert {selectors.correction(CELL) for _ in range(50)} == {known}
