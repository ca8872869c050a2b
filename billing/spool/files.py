"""One append-only file for each process, a usage event on each line, on disk when it returns.

The writer keeps its file locked (flock) while it lives, so that whoever gets the lock of a file
knows that its writer is gone, and that nobody else takes it in. Taken in means delivered: a file
goes when all of its events have been, and delivery is idempotent by request id.
"""

import fcntl
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from billing.usage.events import UsageEvent

logger = logging.getLogger(__name__)
_SUFFIX = ".events"
_lock = threading.Lock()
_own: tuple[int, int, Path] | None = None  # process id, descriptor, path


def append(event: UsageEvent) -> None:
    """Raises nothing: where even the disk fails, the log is the last to know."""
    line = event.dumps().encode() + b"\n"
    try:
        with _lock:
            descriptor = _own_file()
            _write_all(descriptor, line)
            os.fsync(descriptor)
    except OSError:
        logger.critical("Not spooled, to be booked by hand: %s", line.decode(), exc_info=True)


def take_in(deliver: Callable[[UsageEvent], None]) -> int:
    """Deliver what waits: our own, and what processes that have died have left.

    Returns how many events. Raises what `deliver` raises for a store that is down; all of that
    file then waits on.
    """
    if not _files():
        return 0
    _let_go_of_own()
    taken = 0
    for path in _files():
        with suppress(FileNotFoundError), _locked(path) as content:
            events = list(_events(path, content))
            for event in events:
                deliver(event)
            path.unlink()
            taken += len(events)
            logger.warning("Took in %d captures from the spool %s", len(events), path.name)
    return taken


def waiting() -> list[UsageEvent]:
    """What is there now, of whomever, and stays: for a copy of it."""
    events: list[UsageEvent] = []
    for path in _files():
        with suppress(FileNotFoundError):  # taken in since
            events += _events(path, path.read_bytes())
    return events


def _files() -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(Path(settings.SPOOL_DIR).glob(f"*{_SUFFIX}"))
    return []


def _own_file() -> int:
    """This process' file, made and locked; a forked process makes another."""
    global _own
    if _own is None or _own[0] != os.getpid():
        folder = Path(settings.SPOOL_DIR)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}-{uuid.uuid4().hex}{_SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _own = os.getpid(), descriptor, path
        # The file's name must be on disk too.
        of_folder = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(of_folder)
        finally:
            os.close(of_folder)
    return _own[1]


def _let_go_of_own() -> None:
    """The next event begins another file; this one may be taken in."""
    global _own
    with _lock:
        if _own is not None and _own[0] == os.getpid():
            os.close(_own[1])
        _own = None


@contextmanager
def _locked(path: Path) -> Iterator[bytes]:
    """The content of a file that nobody writes or takes in. Raises FileNotFoundError else."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FileNotFoundError(path) from None
        # Somebody may have taken it in, and away, since it was opened.
        path.stat()
        yield file.read()


def _events(path: Path, content: bytes) -> Iterator[UsageEvent]:
    """A last line without its end is of a process that died while it wrote."""
    *lines, torn = content.split(b"\n")
    if torn:
        logger.error("The spool %s ends in the middle of an event: %r", path.name, torn)
    for line in lines:
        try:
            yield UsageEvent.loads(line.decode())
        except (TypeError, ValueError):
            logger.critical("The spool %s has an unreadable event: %r", path.name, line)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
