"""Whose markup decides, and that a version alone tells what a call cost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing.prices.markups import price_history, price_table, tables_to_come
from billing.prices.models import Markup, PriceVersion, Unit
from billing.prices.services import (
    as_price,
    latest_version,
    prices_at,
    set_catalogue_price,
    set_markup,
    set_price,
    withdraw,
)
from conftest import make_cast

OTHER = "globex"
NEURONS = {Unit.INPUT_TOKENS: Decimal("0.5"), Unit.OUTPUT_TOKENS: Decimal(2)}
LONG_AGO = timedelta(days=9)


@pytest.fixture(autouse=True)
def undone(_database: None) -> Iterator[None]:
    """Everybody's markup is everybody's: nothing of it may last."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def tenant(_database: None) -> str:
    """Its code."""
    return make_cast("acme", credit_nusd=0).code


@pytest.fixture
def model() -> str:
    """With a price of the catalogue's, at 20 %."""
    name = f"m-{uuid4().hex[:8]}"
    priced(name, PriceVersion.Source.CATALOGUE, ago=LONG_AGO)
    return name


def priced(
    name: str, source: str, *, ago: timedelta = timedelta(), percent: int = 20
) -> PriceVersion:
    return set_price(
        ai_model=name,
        neurons=NEURONS,
        markup_percent=Decimal(percent),
        source=source,
        starts_at=timezone.now() - ago,
    )


def percent(name: str, tenant_code: str = "", *, at: datetime | None = None) -> Decimal:
    version = price_table(at or timezone.now()).version(name, tenant_code)
    assert version is not None
    price = as_price(version)
    assert price.factor == 1 + version.markup_percent / 100
    assert price.rates[Unit.OUTPUT_TOKENS] == price.costs[Unit.OUTPUT_TOKENS] * price.factor
    assert price.costs[Unit.OUTPUT_TOKENS] == 2 * Decimal(11_000)
    return version.markup_percent


def test_without_any_a_price_has_its_own(model: str, tenant: str) -> None:
    assert percent(model) == percent(model, tenant) == 20
    assert price_table(timezone.now()).version(model) == latest_version(model)


def test_the_narrowest_scope_decides(model: str, tenant: str) -> None:
    set_markup(percent=Decimal(30))
    assert percent(model, tenant) == 30
    set_markup(percent=Decimal(40), ai_model=model)
    assert percent(model, tenant) == 40
    set_markup(percent=Decimal(5), tenant_code=tenant)
    assert percent(model, tenant) == 5
    set_markup(percent=Decimal("0.25"), tenant_code=tenant, ai_model=model)
    assert percent(model, tenant) == Decimal("0.25")

    # The order in which they were set does not matter.
    set_markup(percent=Decimal(99))
    assert percent(model, tenant) == Decimal("0.25")
    assert percent(model, OTHER) == percent(model) == 40


def test_a_scope_that_says_nothing_any_more_leaves_it_to_the_next(model: str, tenant: str) -> None:
    set_markup(percent=Decimal(40), ai_model=model)
    set_markup(percent=Decimal(1), tenant_code=tenant)
    set_markup(percent=Decimal(2), tenant_code=tenant, ai_model=model)
    set_markup(percent=None, tenant_code=tenant, ai_model=model)
    assert percent(model, tenant) == 1
    set_markup(percent=None, tenant_code=tenant)
    assert percent(model, tenant) == 40
    set_markup(percent=None, ai_model=model)
    assert percent(model, tenant) == 20


def test_of_an_operators_price_and_a_markup_the_later_decides(model: str, tenant: str) -> None:
    set_markup(percent=Decimal(7))
    set_markup(percent=Decimal(40), ai_model=model, starts_at=timezone.now() - timedelta(days=1))
    priced(model, PriceVersion.Source.OPERATOR, percent=60)
    assert percent(model) == 60
    set_markup(percent=Decimal(45), ai_model=model)
    assert percent(model) == 45
    set_markup(percent=Decimal(3), tenant_code=tenant)
    assert percent(model, tenant) == 3


def test_a_scheduled_one_waits_and_may_be_withdrawn_until_it_starts(model: str) -> None:
    start = timezone.now() + timedelta(hours=1)
    coming = set_markup(percent=Decimal(50), ai_model=model, starts_at=start)

    assert percent(model) == 20
    assert percent(model, at=start) == 50
    assert any(table.moment == start for table in tables_to_come(timezone.now()))

    assert [withdraw(coming), withdraw(coming)] == [True, False]
    assert percent(model, at=start) == 20
    assert not any(table.moment == start for table in tables_to_come(timezone.now()))
    started = set_markup(percent=Decimal(33), ai_model=model)
    assert withdraw(started) is False
    assert percent(model) == 33


def test_a_scheduled_price_that_is_withdrawn_never_starts(model: str) -> None:
    coming = priced(model, PriceVersion.Source.OPERATOR, ago=-timedelta(hours=1), percent=70)
    later = coming.starts_at + timedelta(seconds=1)
    assert percent(model, at=later) == 70
    assert withdraw(coming)
    assert percent(model, at=later) == 20


def test_the_catalogue_is_followed_until_an_operators_price_starts(model: str) -> None:
    priced(model, PriceVersion.Source.OPERATOR, ago=-timedelta(days=1), percent=70)
    dearer = {**NEURONS, Unit.INPUT_TOKENS: Decimal(3)}

    assert set_catalogue_price(ai_model=model, neurons=dearer, markup_percent=Decimal(20))
    assert not set_catalogue_price(ai_model=model, neurons=dearer, markup_percent=Decimal(20))

    assert prices_at(timezone.now())[model].costs[Unit.INPUT_TOKENS] == 3 * Decimal(11_000)
    later = timezone.now() + timedelta(days=2)
    assert prices_at(later)[model].costs[Unit.INPUT_TOKENS] == Decimal("0.5") * 11_000


def test_a_version_alone_tells_the_price_for_ever(model: str, tenant: str) -> None:
    set_markup(percent=Decimal("12.5"), tenant_code=tenant)
    then = prices_at(timezone.now(), tenant)[model]
    set_markup(percent=Decimal(90), tenant_code=tenant)
    priced(model, PriceVersion.Source.CATALOGUE, percent=80)

    version = PriceVersion.objects.get(pk=then.version_id)

    assert as_price(version) == then
    assert then.factor == Decimal("1.125")
    assert then.follows_neurons
    assert then.charge_nusd({Unit.OUTPUT_TOKENS: 8}) == 8 * 2 * 11_000 * 1125 // 1000


def test_the_same_markup_again_has_the_same_version(model: str, tenant: str) -> None:
    def version_id() -> int:
        return prices_at(timezone.now(), tenant)[model].version_id

    set_markup(percent=Decimal(10), tenant_code=tenant)
    first = version_id()
    set_markup(percent=Decimal(30), tenant_code=tenant)
    assert version_id() != first
    set_markup(percent=Decimal("10.00"), tenant_code=tenant)
    assert version_id() == first
    # The price's own is no copy.
    set_markup(percent=Decimal(20), tenant_code=tenant)
    assert version_id() == prices_at(timezone.now())[model].version_id


def test_what_was_is_told_as_it_was_then(model: str, tenant: str) -> None:
    set_markup(percent=Decimal(40), ai_model=model)
    set_markup(percent=Decimal(7), tenant_code=tenant)
    priced(model, PriceVersion.Source.OPERATOR, ago=-timedelta(hours=1), percent=70)
    now = timezone.now()
    known = price_history()
    for moment in (now - 2 * LONG_AGO, now - timedelta(days=1), now, now + timedelta(hours=2)):
        for tenant_code in ("", tenant):
            expected = price_table(moment).pair(model, tenant_code)
            assert known.table(moment).pair(model, tenant_code) == expected
    assert known.table(now - 2 * LONG_AGO).pair(model) is None


def test_below_zero_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="at a loss"):
        set_markup(percent=Decimal("-0.01"), ai_model=model)
    assert not Markup.objects.filter(ai_model=model).exists()


class TestAtOnce:
    """With connections of their own, so that nothing is undone by a rollback."""

    @pytest.fixture(autouse=True)
    def undone(self, _database: None) -> Iterator[None]:
        self.model = f"m-{uuid4().hex[:8]}"
        yield
        Markup.objects.filter(ai_model=self.model).delete()
        PriceVersion.objects.filter(ai_model=self.model).exclude(copy_of=None).delete()
        PriceVersion.objects.filter(ai_model=self.model).delete()

    def test_processes_that_need_a_version_at_once_get_the_same(self, tenant: str) -> None:
        priced(self.model, PriceVersion.Source.CATALOGUE, ago=LONG_AGO)
        set_markup(percent=Decimal(77), ai_model=self.model, tenant_code=tenant)
        start = Barrier(8)

        def look(_: int) -> Any:
            try:
                start.wait()
                return prices_at(timezone.now(), tenant)[self.model]
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(look, range(8)))

        assert len({price.version_id for price in found}) == 1
        assert all(price == found[0] and price.factor == Decimal("1.77") for price in found)
        assert len(found[0].rates) == len(NEURONS)
