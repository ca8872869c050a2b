"""Folders as root's home is: closed to everyone else. And being someone else."""

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what root meets")


@contextmanager
def closed_folder() -> Iterator[Path]:
    """A folder of mode 0700, owned by us."""
    folder = Path(tempfile.mkdtemp(prefix="closed-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_nobody(action: Callable[[], None]) -> None:
    """Run it in a fork that has given up root. Raises AssertionError if it fails there."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "it failed as nobody; the traceback is in the captured output"
