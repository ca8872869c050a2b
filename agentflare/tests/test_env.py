"""Environment variables."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from agentflare import env


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n")
    monkeypatch.delenv("SOME_SECRET", raising=False)
    monkeypatch.setenv("SOME_SECRET_FILE", str(file))
    assert env.text("SOME_SECRET") == "hush"
    monkeypatch.setenv("SOME_SECRET", "another")
    with pytest.raises(ImproperlyConfigured, match="not both"):
        env.text("SOME_SECRET")
    monkeypatch.delenv("SOME_SECRET")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ImproperlyConfigured, match="SOME_SECRET_FILE cannot be read"):
        env.text("SOME_SECRET")
    file.write_text("")
    monkeypatch.setenv("SOME_SECRET_FILE", str(file))
    assert env.text("SOME_SECRET", "default") == "default"
