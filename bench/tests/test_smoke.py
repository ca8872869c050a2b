"""The bench itself, end to end and as small as it gets."""

import json
from dataclasses import asdict

import pytest

from bench.__main__ import TINY, as_text, measure


@pytest.mark.slow
def test_a_tiny_bench_measures_everything_and_its_money_adds_up() -> None:
    findings = measure(TINY)

    assert findings.books.faults == []
    assert findings.books.records == findings.books.calls > 10
    assert findings.books.booked_nusd == findings.books.told_nusd > 0
    assert all(x.added_p50_ms > 0 for x in findings.latency)
    assert findings.throughput.calls_per_s > 0
    native, openai = findings.streams
    assert native.completed >= 5 <= openai.completed
    assert native.failed == openai.failed == 0
    assert "audit clean" in as_text(findings)
    json.dumps(asdict(findings))
