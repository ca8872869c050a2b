"""PostgreSQL's programs: found, of the right version, told no password where others read it."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from billing.backup import programs
from billing.backup.errors import BackupError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any) -> None:
    settings.POSTGRESQL_BIN = str(tmp_path)


def make_program(folder: Path, text: str, name: str = "pg_dump") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_missing_program_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=f"no pg_dump in {tmp_path}.*POSTGRESQL_BIN"):
        programs.require("pg_dump", major=18)


def test_an_older_program_is_refused(tmp_path: Path) -> None:
    make_program(tmp_path, "echo 'pg_dump (PostgreSQL) 15.14 (Debian 15.14-1)'")

    programs.require("pg_dump", major=15)
    with pytest.raises(BackupError, match="of PostgreSQL 15, and 18 or newer is needed"):
        programs.require("pg_dump", major=18)


def test_what_says_no_version_is_refused(tmp_path: Path) -> None:
    make_program(tmp_path, "echo hello")

    with pytest.raises(BackupError, match="which is no version"):
        programs.require("pg_dump", major=18)


def test_the_password_is_in_the_environment_and_on_no_command_line(tmp_path: Path) -> None:
    make_program(tmp_path, 'echo "$@"; echo "password: $PGPASSWORD"; echo "$PGOPTIONS"')
    password = str(connection.get_connection_params()["password"])

    said = programs.run("pg_dump", ["--file=x"], options="-c a=b").splitlines()

    assert "--file=x" in said[0]
    assert f"dbname={connection.settings_dict['NAME']}" in said[0]
    assert password not in said[0]
    assert said[1:] == [f"password: {password}", "-c a=b"]
    assert "PGPASSWORD" not in os.environ


def test_what_a_program_says_when_it_fails_is_told(tmp_path: Path) -> None:
    make_program(tmp_path, "echo 'no room left' >&2; exit 1")

    with pytest.raises(BackupError, match="pg_dump failed: no room left"):
        programs.run("pg_dump", [])
