"""Corrections from scores: arithmetic, no store."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.tokens.learning import (
    BIN,
    GUARD,
    HIGHEST,
    LOWEST,
    Correction,
    bin_of,
    cell_of,
    correction_from,
)

HONEST = ["acme", "globex", "initech", "umbrella"]


def scores(score: float, calls: int = 1, *, spread: float = 0.0, seed: int = 0) -> dict[int, float]:
    random_ = random.Random(seed)
    found: dict[int, float] = {}
    for _ in range(calls):
        bin_ = round(random_.gauss(score, spread) / BIN)
        found[bin_] = found.get(bin_, 0) + 1
    return found


def honest(score: float = 0.0, calls: int = 1_000) -> dict[str, dict[int, float]]:
    return {name: scores(score, calls, spread=0.1, seed=i) for i, name in enumerate(HONEST)}


def learned(evidence: dict[str, dict[int, float]]) -> Correction:
    found = correction_from(evidence)
    assert found is not None
    return found


def test_scores_place_a_call_between_likely_and_most() -> None:
    assert bin_of(real=100, likely=100, most=200) == 0
    assert bin_of(real=200, likely=100, most=200) * BIN == pytest.approx(1)
    # A margin is never less than a quarter of what is likely.
    assert bin_of(real=125, likely=100, most=101) * BIN == pytest.approx(1)


def test_cells_are_by_model_script_and_size() -> None:
    sizes = [cell_of(model="m", script="thai", likely=n)[2] for n in (1, 63, 64, 256, 2_047, 9_999)]
    assert sizes == [0, 0, 1, 2, 2, 3]


def test_nothing_is_learned_from_nothing() -> None:
    assert correction_from({}) is None
    assert correction_from({"acme": {}}) is None


def test_learning_converges_on_what_covers_the_calls() -> None:
    found = learned(honest(score=0.3))

    assert found.may_lower
    assert found.likely == pytest.approx(0.3, abs=0.03)
    # 99.95 % of a normal distribution, and a guard.
    assert 0.3 + 3.0 * 0.1 < found.most < 0.3 + 4.5 * 0.1 + 0.2
    later = honest(score=0.3, calls=3_000)
    covered = sum(
        n for one in later.values() for bin_, n in one.items() if bin_ * BIN <= found.most
    )
    assert covered / 12_000 >= 0.999


def test_bounds_are_lowered_only_after_enough_calls_of_several_tenants() -> None:
    assert learned(honest(calls=1_000)).may_lower
    assert not learned(honest(calls=50)).may_lower
    assert not learned({"acme": scores(0, 5_000), "globex": scores(0, 5_000)}).may_lower


def test_one_tenant_cannot_raise_the_bounds_of_others() -> None:
    before = learned(honest())

    after = learned(honest() | {"mallory": scores(HIGHEST, 100_000)})

    # To one margin above the likely count at the most, however many calls it makes.
    assert after.most <= 1.0
    assert after.likely == pytest.approx(before.likely, abs=0.1)


def test_one_tenant_cannot_lower_the_bounds_of_others() -> None:
    before = learned(honest(calls=60))

    after = learned(honest(calls=60) | {"mallory": scores(LOWEST, 1_000_000)})

    assert after.most >= before.most - 0.1
    assert after.likely == pytest.approx(before.likely, abs=0.1)


def test_a_rise_that_several_tenants_see_is_followed_beyond_a_margin() -> None:
    after = learned(honest(score=2.0))

    assert after.most == pytest.approx(2.0 + 0.1 * 3.5, abs=0.3)


def test_a_tenant_alone_raises_its_bound_by_one_margin() -> None:
    assert learned({"acme": scores(5.0, 10_000)}).most == 1.0


tenants = st.dictionaries(
    st.sampled_from([*HONEST, "mallory"]),
    st.dictionaries(
        st.integers(round(LOWEST / BIN), round(HIGHEST / BIN)),
        st.integers(1, 10_000).map(float),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
)


@given(tenants)
@settings(max_examples=50)
def test_corrections_stay_within_what_is_believed(evidence: dict[str, dict[int, float]]) -> None:
    found = learned(evidence)

    assert LOWEST <= found.likely <= HIGHEST
    assert LOWEST <= found.most <= HIGHEST + 0.2


@given(tenants, st.integers(round(LOWEST / BIN), round(HIGHEST / BIN)), st.integers(1, 10**6))
@settings(max_examples=50)
def test_no_single_tenant_raises_a_bound_above_a_margin(
    evidence: dict[str, dict[int, float]], bin_: int, calls: int
) -> None:
    others = {name: one for name, one in evidence.items() if name != "mallory"}
    highest = max((max(one) * BIN for one in others.values()), default=0.0)

    after = learned(others | {"mallory": {bin_: float(calls)}})

    assert after.most <= max(1.0, highest + 2 * GUARD) + 1e-9
