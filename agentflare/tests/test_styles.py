"""What the browser's tests take for granted of the style sheets."""

import re
from pathlib import Path

import pytest
from django.conf import settings

SHEETS = sorted((settings.BASE_DIR / "static").rglob("*.css"))
NIGHT = "@media (prefers-color-scheme: dark)"


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_by_night_nothing_but_colours_differs(sheet: Path) -> None:
    """So they look at nothing else then."""
    _, *nights = sheet.read_text().split(NIGHT)

    for night in nights:
        assert re.match(r" \{\s*:root \{(\s*--[\w-]+: #\w+;)+\s*\}\s*\}", night), night[:500]
    assert sheet.read_text().count("prefers-color-scheme") == len(nights)
