"""The gate's scripts against a simple model of them: any order of calls, repeats and crashes."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agentflare.ids import BASE36, random_code, uuid7
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.gate import Gate, HoldKeys, Spent
from billing.admission.marks import set_marks
from billing.admission.rules import NOT_COUNTED, Place, Rules
from billing.usage.events import UsageEvent
from tenants.limits import Budgets, Limits
from tenants.registry.status import status_key

LIMITS = Limits(requests_per_minute=12, tokens_per_minute=120, concurrent_calls=5)
BUDGET_NUSD = 300
KEYS = ("key00001", "key00002")
AMOUNTS = st.integers(0, 120)


@dataclass
class Call:
    event: UsageEvent
    keys: HoldKeys
    amount: int
    tokens: int
    is_held: bool = True
    place: Place = NOT_COUNTED
    is_remade: bool = False
    cost_so_far: int = 0
    captured: int | None = None


@dataclass
class Model:
    """What must come out, told plainly."""

    posted: int = 0
    version: int = 0
    ledger: int = 0
    spent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))
    calls: list[Call] = field(default_factory=list)
    outbox: list[Call] = field(default_factory=list)
    requests: int = 0
    tokens: int = 0

    @property
    def held(self) -> int:
        return sum(call.amount for call in self.calls if call.is_held)

    @property
    def unsettled(self) -> int:
        return sum(call.captured or 0 for call in self.outbox)

    @property
    def running(self) -> int:
        return sum(call.is_held for call in self.calls)

    def of_key(self, key_id: str) -> int:
        """Spent, held and not booked yet."""
        held = sum(c.amount for c in self.calls if c.is_held and c.event.key_id == key_id)
        unsettled = sum(c.captured or 0 for c in self.outbox if c.event.key_id == key_id)
        return self.spent[key_id] + held + unsettled


class GateMachine(RuleBasedStateMachine):
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.tenant = random_code(6, BASE36)
        self.model = Model()
        get_redis().hset(status_key(self.tenant), "suspended", "")
        self._book(500)
        for key_id in KEYS:
            self._sync_key(key_id)

    # --- What may happen --------------------------------------------------------

    @rule(target=calls, key_id=st.sampled_from(KEYS), amount=AMOUNTS, tokens=st.integers(0, 60))
    def admit(self, key_id: str, amount: int, tokens: int) -> Call:
        event = UsageEvent(
            request_id=uuid7().hex,
            tenant_code=self.tenant,
            key_id=key_id,
            endpoint="chat/completions",
            ai_model="m",
            upstream_model="@cf/m",
            is_stream=False,
            estimated_nusd=amount,
            price_version_id=1,
            started_at=0.0,
        )
        call = Call(event, HoldKeys.of(event), amount, tokens)
        verdict = self._admit(call)
        if verdict[0] == "held":
            call.place = Place(verdict[3], int(verdict[2]), tokens)

        assert verdict[0] == self._expected(call)
        call.is_held = verdict[0] == "held"
        if call.is_held:
            self.model.calls.append(call)
            self.model.requests += 1
            self.model.tokens += tokens
        return call

    @rule(call=calls)
    def admit_again(self, call: Call) -> None:
        """The answer got lost on its way. A call that was refused is asked for anew elsewhere."""
        if call.is_held or call.captured is not None:
            assert self._admit(call)[0] == "held"

    @rule(call=calls, cost=AMOUNTS)
    def renew(self, call: Call, cost: int) -> None:
        if call not in self.model.calls:
            return
        alive = gate.renew(
            call.keys,
            request_id=call.event.request_id,
            tenant_code=self.tenant,
            amount_nusd=call.amount,
            cost_nusd=cost,
            event=call.event.dumps(),
            place=call.place,
        )
        if call.is_held:
            assert alive
            call.cost_so_far = cost
        elif call.captured is None:
            # Redis had lost the hold: the call runs, its money is held anew, its place taken.
            assert alive
            call.is_held, call.is_remade, call.cost_so_far = True, True, cost
        else:
            assert not alive

    @rule(call=calls, cost=AMOUNTS, used=st.integers(0, 90))
    def capture(self, call: Call, cost: int, used: int) -> None:
        """At any time, any number of times, with or without the hold."""
        if call not in self.model.calls:
            return
        told, available = gate.capture(
            call.keys,
            request_id=call.event.request_id,
            tenant_code=self.tenant,
            cost_nusd=cost,
            event=call.event.dumps(),
            tokens=used,
        )
        if call.captured is None:
            self._end(call, cost, used)
        assert told == call.captured
        assert available == self._books().available

    @rule(call=calls)
    def expire(self, call: Call) -> None:
        """Its process has died, and the sweeper comes."""
        if call not in self.model.calls:
            return
        partition = gate.partition_of(self.tenant)
        if call.is_held:
            get_redis().zadd(gate.holds_key(partition), {call.event.request_id: 1})
        ended = gate.expire(partition=partition, request_id=call.event.request_id)
        assert ended == call.is_held
        if ended and call.captured is None:
            self._end(call, call.cost_so_far, None)
        call.is_held = False

    @rule(call=calls)
    def expire_too_early(self, call: Call) -> None:
        partition = gate.partition_of(self.tenant)
        assert not gate.expire(partition=partition, request_id=call.event.request_id)

    @rule(call=calls)
    def lose_the_hold(self, call: Call) -> None:
        """Redis came back without the last second: the hold and its sums are gone together."""
        if call not in self.model.calls or not call.is_held or call.captured is not None:
            return
        redis = get_redis()
        redis.delete(call.keys.hold)
        redis.zrem(call.keys.holds, call.event.request_id)
        redis.hincrby(call.keys.gate, "held", -call.amount)
        redis.hincrby(call.keys.spend, "held", -call.amount)
        redis.hincrby(call.keys.windows[0], "running", -1)
        call.is_held = False

    @rule(amount=st.integers(1, 200))
    def top_up(self, amount: int) -> None:
        self._book(amount)

    @rule(amount=st.integers(1, 200))
    def news_that_comes_late(self, amount: int) -> None:
        """An older state of the ledger, told after a newer one, is ignored."""
        gate.sync(
            tenant_code=self.tenant,
            posted_nusd=amount,
            version=self.model.version - 1,
            run=gate.run_of(self.tenant),
        )

    @rule(count=st.integers(1, 5), is_repeated=st.booleans())
    def settle(self, count: int, is_repeated: bool) -> None:
        """Book the oldest events; after a crash in between, once more."""
        batch, self.model.outbox = self.model.outbox[:count], self.model.outbox[count:]
        if not batch:
            return
        for call in batch:
            self.model.ledger -= call.captured or 0
            self.model.spent[call.event.key_id] += call.captured or 0
        self.model.version += 1
        self.model.posted = self.model.ledger
        entries = get_redis().xrange(gate.outbox_key(gate.partition_of(self.tenant)))
        ids = {
            UsageEvent.loads(fields["event"]).request_id: stream_id
            for stream_id, fields in entries
            if fields["tenant"] == self.tenant
        }
        events = [
            (ids[call.event.request_id], call.captured or 0, call.event.spender) for call in batch
        ]
        for expected in [len(batch), 0][: 1 + is_repeated]:
            left = gate.settle(
                tenant_code=self.tenant,
                posted_nusd=self.model.posted,
                version=self.model.version,
                events=events,
                spent={key_id: self._spent(key_id) for _, _, key_id in events},
            )
            assert left == expected

    # --- What must hold ---------------------------------------------------------

    @invariant()
    def books_are_the_models(self) -> None:
        model = self.model
        assert self._books() == Gate(model.posted, model.held, model.unsettled)

    @invariant()
    def money_is_conserved(self) -> None:
        """What was booked by us is left, on its way to be booked, or spent."""
        books = self._books()
        captured = sum(call.captured or 0 for call in self.model.calls)
        assert self.model.posted + sum(self.model.spent.values()) == self._bought
        assert books.unsettled + sum(self.model.spent.values()) == captured

    @invariant()
    def nothing_is_admitted_beyond_the_credit(self) -> None:
        """Only a capture above its hold can go below zero, by what it is above."""
        above = sum(max(0, (c.captured or 0) - c.amount) for c in self.model.calls)
        above += sum(c.amount for c in self.model.calls if c.is_held and c.is_remade)
        assert self._books().available >= -above

    @invariant()
    def the_window_is_the_models(self) -> None:
        if self.model.calls:
            (facts,) = gate.peek(self.model.calls[0].keys.windows[:1])
            assert facts == [self.model.requests, self.model.tokens, self.model.running]

    @invariant()
    def keys_have_spent_what_the_model_says(self) -> None:
        for key_id in KEYS:
            life, held, unsettled = get_redis().hmget(
                gate.spend_key(self.tenant, key_id), "life", "held", "unsettled"
            )
            told = int(life) + int(held or 0) + int(unsettled or 0)
            assert told == self.model.of_key(key_id)

    def teardown(self) -> None:
        """Nothing of it stays in the partition that other tests look at."""
        redis = get_redis()
        partition = gate.partition_of(self.tenant)
        for stream_id, fields in redis.xrange(gate.outbox_key(partition)):
            if fields["tenant"] == self.tenant:
                redis.xdel(gate.outbox_key(partition), stream_id)
        for call in self.model.calls:
            redis.delete(call.keys.hold, call.keys.gate, call.keys.done, *call.keys.windows)
            redis.zrem(call.keys.holds, call.event.request_id)

    # --- Steps ------------------------------------------------------------------

    _bought = 0

    def _admit(self, call: Call) -> Any:
        return gate.admit(
            call.keys,
            request_id=call.event.request_id,
            tenant_code=self.tenant,
            amount_nusd=call.amount,
            event=call.event.dumps(),
            tokens=call.tokens,
            rules=Rules(tenant=LIMITS, budgets=Budgets(life_nusd=BUDGET_NUSD)),
        )

    def _expected(self, call: Call) -> str:
        model = self.model
        if (
            model.running >= (LIMITS.concurrent_calls or 0)
            or model.requests >= (LIMITS.requests_per_minute or 0)
            or model.tokens + call.tokens > (LIMITS.tokens_per_minute or 0)
        ):
            return "limited"
        if model.of_key(call.event.key_id) + call.amount > BUDGET_NUSD:
            return "budget"
        free = model.posted - model.unsettled
        if call.amount > free - model.held:
            return "insufficient" if call.amount > free else "credit_held"
        return "held"

    def _end(self, call: Call, cost: int, used: int | None) -> None:
        if call.is_held and used is not None:
            self.model.tokens += used - call.tokens
        call.captured, call.is_held = cost, False
        self.model.outbox.append(call)

    def _book(self, amount: int) -> None:
        self._bought += amount
        self.model.ledger += amount
        self.model.posted = self.model.ledger
        self.model.version += 1
        gate.sync(
            tenant_code=self.tenant,
            posted_nusd=self.model.posted,
            version=self.model.version,
            run=gate.run_of(self.tenant),
        )

    def _sync_key(self, key_id: str) -> None:
        gate.sync_spend(
            tenant_code=self.tenant,
            spender=key_id,
            version=self.model.version,
            spent=self._spent(key_id),
            run=gate.run_of(self.tenant),
        )

    def _spent(self, key_id: str) -> Spent:
        day, month = gate.periods()
        spent = self.model.spent[key_id]
        return Spent(spent, day, spent, month, spent)

    def _books(self) -> Gate:
        books = gate.read(self.tenant)
        assert books is not None
        return books


@pytest.mark.usefixtures("_database")
def test_any_interleaving_keeps_the_books() -> None:
    set_marks()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        GateMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
