"""docs/billing.md promises what a call costs: every row of its tables has a test that proves it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def promised() -> list[str]:
    """The first cells of the tables of how calls end."""
    tables = re.findall(
        r"^\| how the call ends .*\n\|[-|]+\n((?:\|.*\n)+)",
        (ROOT / "docs/billing.md").read_text(),
        re.MULTILINE,
    )
    return [line.split("|")[1].strip() for table in tables for line in table.splitlines()]


def proved() -> set[str]:
    marks = re.compile(r'^@pytest\.mark\.billing_row\(\s*"(.*)"\s*\)', re.MULTILINE)
    tests = (ROOT / "inference/tests").rglob("test_*.py")
    return {row for path in tests for row in marks.findall(path.read_text())}


def test_every_row_of_the_billing_tables_is_proved_over_http() -> None:
    rows = promised()
    assert len(rows) == len(set(rows)) > 30
    assert proved() == set(rows)
