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


def test_a_redis_cluster_needs_a_broker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_REDIS", "redis+cluster://:pw@a:7000,b:7000")
    url = env.redis("SOME_REDIS")
    assert url == "redis+cluster://:pw@a:7000,b:7000"
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL"):
        env.redis_database(url, 1)
    monkeypatch.setenv("SOME_REDIS", "redis+cluster://a:7000/2")
    with pytest.raises(ImproperlyConfigured, match="SOME_REDIS cannot name a database"):
        env.redis("SOME_REDIS")


def test_a_replica_is_a_postgresql_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_REPLICA", raising=False)
    assert env.postgres_url("SOME_REPLICA") == ""
    monkeypatch.setenv("SOME_REPLICA", "mysql://a/b")
    with pytest.raises(ImproperlyConfigured, match="SOME_REPLICA must start with postgresql://"):
        env.postgres_url("SOME_REPLICA")
