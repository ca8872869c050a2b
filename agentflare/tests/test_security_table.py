"""docs/security.md names a test for each threat: each is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def promised() -> list[tuple[str, str]]:
    """Threat, and what stands in the column of tests."""
    tables = re.findall(
        r"^\| threat \| what we do \| test \|\n\|[-|]+\n((?:\|.*\n)+)",
        (ROOT / "docs/security.md").read_text(),
        re.MULTILINE,
    )
    rows = [line.strip("|\n ").split(" | ") for table in tables for line in table.splitlines()]
    assert all(len(row) == 3 for row in rows)
    return [(row[0], row[2]) for row in rows]


def test_there_are_as_many_lines_as_we_know_threats() -> None:
    threats = [threat for threat, _ in promised()]
    assert len(threats) == len(set(threats)) > 60


@pytest.mark.parametrize("row", promised(), ids=lambda row: row[0])
def test_a_line_names_a_test_that_is_there(row: tuple[str, str]) -> None:
    found = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", row[1])
    assert found, row
    source = (ROOT / found[1]).read_text()
    assert re.search(rf"^def {found[2]}\(", source, re.MULTILINE), row
