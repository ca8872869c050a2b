"""What the ready block tells."""

from pathlib import Path

import pytest

from sandbox.install import models
from sandbox.supervisor.choices import read_choices
from sandbox.supervisor.ready import models_hint


@pytest.mark.parametrize(
    ("variables", "installed", "tells"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"SANDBOX_SCRIPTED": "1"}, False, False),
        ({"CLOUDFLARE_BASE_URL": "http://localhost:1"}, False, False),
    ],
)
def test_missing_small_models_are_offered_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    installed: bool,
    tells: bool,
) -> None:
    monkeypatch.setattr(models, "are_installed", lambda: installed)
    choices = read_choices({"SANDBOX_DIR": str(tmp_path), **variables})

    hint = models_hint(choices)

    assert hint.count("\n") == int(tells)
    assert ("`make models`" in hint) is tells
