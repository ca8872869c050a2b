"""PostgreSQL's own programs, which know how to dump and to restore: found, checked, run."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.db import connection
from psycopg import pq
from psycopg.conninfo import make_conninfo

from billing.backup.errors import BackupError

_VERSION = re.compile(r"(\d+)(?:\.\d+)*")
_SAID_AT_MOST = 2_000


def require(program: str, *, major: int) -> None:
    """Raises BackupError unless the program is there, and of this major version or a newer one."""
    found = _version_of(program)
    if found < major:
        raise BackupError(
            f"{program} is of PostgreSQL {found}, and {major} or newer is needed here. Install the "
            f"client programs of PostgreSQL {major}, or name their folder in POSTGRESQL_BIN."
        )


def server_major() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        (number,) = cursor.fetchone()
    return int(number) // 10_000


def run(program: str, arguments: Sequence[str | Path], *, options: str = "") -> str:
    """Run it on our database, and return what it printed. Raises BackupError.

    options: settings of its session, as `-c name=value`. The password goes by the environment: a
    command line can be read by everybody on the machine.
    """
    parameters = connection.get_connection_params()
    password = str(parameters.get("password") or "")
    environment = {**os.environ, "LC_ALL": "C"}
    if password:
        environment["PGPASSWORD"] = password
    if options:
        environment["PGOPTIONS"] = options
    database = f"--dbname={_address(parameters)}"
    return _run([_path_of(program), database, *map(str, arguments)], environment)


def list_contents(dump: Path) -> str:
    """The table of contents of a dump, which is read for it. Raises BackupError."""
    return _run([_path_of("pg_restore"), "--list", str(dump)], {**os.environ, "LC_ALL": "C"})


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and no word of others
            command, env=environment, capture_output=True, text=True, check=False, errors="replace"
        )
    except OSError as exc:
        raise BackupError(f"{command[0]} cannot be run: {exc.strerror}") from None
    if done.returncode != 0:
        said = done.stderr.strip()[:_SAID_AT_MOST] or f"exit status {done.returncode}"
        raise BackupError(f"{Path(command[0]).name} failed: {said}")
    return done.stdout


def _path_of(program: str) -> str:
    found = shutil.which(program, path=settings.POSTGRESQL_BIN or None)
    if found is None:
        place = settings.POSTGRESQL_BIN or "PATH"
        raise BackupError(
            f"There is no {program} in {place}. Install PostgreSQL's client programs, of the "
            "server's version, or name their folder in POSTGRESQL_BIN."
        )
    return found


def _version_of(program: str) -> int:
    said = _run([_path_of(program), "--version"], {**os.environ, "LC_ALL": "C"})
    found = _VERSION.search(said)
    if found is None:
        raise BackupError(f"{program} --version says {said.strip()[:100]!r}, which is no version.")
    return int(found[1])


def _address(parameters: dict[str, object]) -> str:
    """What libpq knows of it, without the password."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    # Ours are for web processes that rather give up than wait.
    left_out = {"password", "options", "tcp_user_timeout", "client_encoding"}
    kept = {
        name: value
        for name, value in parameters.items()
        if name in known - left_out and value not in (None, "")
    }
    return make_conninfo(**kept)  # type: ignore[arg-type]
