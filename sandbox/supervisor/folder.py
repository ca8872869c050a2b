"""The data folder: whose it is, what we remember in it, and who works in it."""

import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from sandbox.embedded.ports import free_port, is_free
from sandbox.errors import SandboxError

NEEDED_MB = 300
LOG_LIMIT_BYTES = 5_000_000

# What may lie in a folder that was interrupted before its state was written.
FIRST_FILES = {"lock", "children.lock", "logs", ".state.json.new"}

# How long processes of a killed sandbox may take to end, before they are ended.
LEFTOVERS_END_S = 5.0
LEFTOVERS_KILLED_S = 10.0


@dataclass
class State:
    """What must be the same at the next start. Kept in state.json, for our eyes only."""

    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    postgres_password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    valkey_password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    owner_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    operator_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    stripe_secret_key: str = field(default_factory=lambda: f"sk_test_{secrets.token_hex(16)}")
    stripe_webhook_secret: str = field(default_factory=lambda: f"whsec_{secrets.token_hex(16)}")
    api_key: str = ""
    ports: dict[str, int] = field(default_factory=dict)


class DataFolder:
    """One sandbox's folder, open for one supervisor at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.demo_env = path / "demo.env"
        self.lock: IO[str] | None = None
        self.children_lock: IO[str] | None = None
        self.state = State()

    def open(self, *, pause: Callable[[float], None]) -> None:
        """Take the folder: make it, lock it, read its state. Raises SandboxError."""
        try:
            self.make()
            self.take_lock()
            self.wait_for_leftovers(pause)
            self.read_state()
            self.rotate_logs()
        except OSError as exc:
            raise SandboxError(
                f"cannot use the data folder {self.path}: {exc.strerror or exc}. "
                "Choose another: SANDBOX_DIR=/some/folder make run"
            ) from None

    def make(self) -> None:
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        check_space(self.path)
        names = {entry.name for entry in self.path.iterdir()}
        if "state.json" not in names and names - FIRST_FILES:
            raise SandboxError(
                f"{self.path} is not empty and is no sandbox's data folder (no state.json). "
                "Choose another: SANDBOX_DIR=/some/folder make run"
            )
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def take_lock(self) -> None:
        self.lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.seek(0)
            owner = self.lock.read().strip() or "unknown"
            raise SandboxError(
                f"a sandbox (process {owner}) is already running in {self.path}. Stop it, or "
                "run another beside it: SANDBOX_DIR=/some/folder PORT=8001 make run"
            ) from None
        self.lock.truncate(0)
        self.lock.write(str(os.getpid()))
        self.lock.flush()

    def wait_for_leftovers(self, pause: Callable[[float], None]) -> None:
        """Let the processes of a killed sandbox end, and end those that do not.

        Two servers on the same files would ruin them. Every child keeps the lock's
        file open, so the lock tells of all of them, and of nobody else.
        """
        self.children_lock = (self.path / "children.lock").open("a+")
        began_at = time.monotonic()
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(self.children_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            waited_s = time.monotonic() - began_at
            if waited_s > LEFTOVERS_KILLED_S:
                raise SandboxError(
                    f"processes of an earlier sandbox still work in {self.path} and do not end. "
                    "End them (their numbers are in pids.json there), then start again"
                )
            if waited_s > LEFTOVERS_END_S:
                kill_holders(self.path / "children.lock")
            pause(0.1)

    @property
    def children_fd(self) -> int:
        assert self.children_lock is not None
        return self.children_lock.fileno()

    def read_state(self) -> None:
        path = self.path / "state.json"
        if not path.exists():
            self.save_state()
            return
        try:
            remembered = json.loads(path.read_text())
            self.state = State(**remembered)
        except (ValueError, TypeError):
            raise SandboxError(
                f"{path} is damaged, and the passwords were in it. Move {self.path} away to "
                "begin anew, or choose another folder: SANDBOX_DIR=/some/folder make run"
            ) from None
        # Of an earlier version, which had fewer secrets: those made just now must stay.
        if remembered.keys() != asdict(self.state).keys():
            self.save_state()

    def save_state(self) -> None:
        write_private(self.path / "state.json", json.dumps(asdict(self.state), indent=2) + "\n")

    def port_for(self, name: str) -> int:
        """The port of last time if nobody has taken it meanwhile, else a new one."""
        port = self.state.ports.get(name)
        if port is None or not is_free(port):
            port = self.state.ports[name] = free_port()
            self.save_state()
        return port

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def rotate_logs(self) -> None:
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                log.rename(log.with_suffix(".log.1"))

    def write_pids(self, pids: Mapping[str, int]) -> None:
        """For whoever wants to kill one of them. On a full disk it goes stale."""
        with suppress(OSError):
            write_private(self.path / "pids.json", json.dumps(pids, indent=2) + "\n")


def free_space_mb(path: Path) -> int:
    return shutil.disk_usage(path).free // 1_000_000


def check_space(path: Path) -> None:
    free_mb = free_space_mb(path)
    if free_mb < NEEDED_MB:
        raise SandboxError(
            f"the disk is full: {free_mb} MB left for {path}, and {NEEDED_MB} MB are needed. "
            "Make room, or choose a folder on another disk: SANDBOX_DIR=/some/folder make run"
        )


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def kill_holders(path: Path) -> None:
    """Kill every process that has the file open, except ourselves. Linux only."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid != os.getpid() and has_open(folder, path):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def has_open(process: Path, path: Path) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False  # gone meanwhile, or another user's
    for descriptor in descriptors:
        with suppress(OSError):
            if descriptor.samefile(path):
                return True
    return False


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=value lines as we write them; empty when there is no such file."""
    try:
        words = shlex.split(path.read_text(), comments=True)
    except (OSError, ValueError):
        return {}
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}
