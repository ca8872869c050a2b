"""Become another program that dies with its starter.

Run as a script by `children.spawn`, never imported by it:

    python -I -S launch.py SPEC PROGRAM ARGUMENT…

SPEC is JSON: see `main`. Popen's preexec_fn could do the same, but Python code
between fork and exec can deadlock when the starter has threads (pytest,
gevent). Another 15 ms, and it is safe anywhere. Standard library only.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522

OPEN_FILES = 65_536

# How long a child may take to end after its starter died; only where a watcher
# has to do the kernel's work.
GRACE_S = 4.0


def main() -> NoReturn:
    """SPEC: parent (pid), death_signal, leash (fd or null), cwd, readable (paths) and
    account ({uid, gid, capability} or null). No secrets: anyone may read it in `ps`."""
    spec = json.loads(sys.argv[1])
    try:
        # Before the change of user: the watcher must be allowed to kill the child.
        if spec["leash"] is not None:
            watch_from_a_fork(spec["leash"], spec["death_signal"])
        if spec["account"]:
            become(**spec["account"])
        # After it: the kernel forgets this setting when a process changes its user.
        if sys.platform == "linux":
            die_with_the_starter(spec["parent"], spec["death_signal"])
        allow_many_files()
        os.chdir(spec["cwd"])
        for path in spec["readable"]:
            os.close(os.open(path, os.O_RDONLY))
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as exc:
        sys.exit(f"cannot start {sys.argv[2]}: {exc}")


def become(uid: int, gid: int, capability: int | None) -> None:
    """Change to an unprivileged user, keeping at most one capability.

    An ambient capability survives both the change of user and exec, so the new
    user may pass a closed folder (root's 0700 home) without anyone opening it.
    Raises OSError where the kernel or the container forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if capability is not None:
        check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        mask = 1 << capability
        header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
        # Two triples of effective, permitted, inheritable: capabilities 0–31 and 32–63.
        sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
        check(libc.capset(ctypes.byref(header), ctypes.byref(sets)))
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def die_with_the_starter(parent: int, death_signal: int) -> None:
    check(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
    # The starter may have died before the line above.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def allow_many_files() -> None:
    """As many open files as we may have, up to a sensible number: a stream is a file or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def watch_from_a_fork(leash: int, death_signal: int) -> None:
    """For systems without PR_SET_PDEATHSIG: a fork that outlives the starter.

    leash: reading end of a pipe whose writing end only the starter holds.
    """
    child = os.getpid()
    if os.fork() != 0:
        os.close(leash)
        return
    if starter_is_gone(leash, child):
        os.kill(child, death_signal)
        deadline = time.monotonic() + GRACE_S
        while os.getppid() == child and time.monotonic() < deadline:
            time.sleep(0.05)
        # The child's own children are in its group, and so are we.
        os.killpg(child, signal.SIGKILL)
    os._exit(0)


def starter_is_gone(leash: int, child: int) -> bool:
    """Wait. True: the starter died. False: the child ended before it."""
    while os.getppid() == child:
        readable, _, _ = select.select([leash], [], [], 0.5)
        if readable:
            return True
    return False


if __name__ == "__main__":
    main()
