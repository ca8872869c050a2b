"""Install packages with pip, showing progress in one line.

    python -m sandbox.install.packages STAMP REQUIREMENTS…

STAMP is written when all is well; make compares its time with the requirements'.
Standard library only: it is what brings everything else.
"""

import fcntl
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Where the output is no terminal (CI): a line now and then.
QUIET_LINE_EVERY_S = 10.0
SHOWN_ON_FAILURE = 25


def main(arguments: list[str]) -> int:
    stamp, *requirements = arguments
    # A .venv from before our time; the Makefile looks only at the Python it makes one with.
    if sys.version_info < (3, 11):  # noqa: UP036
        print(f"make: {sys.prefix} is of an old Python; `make clean`, then again", file=sys.stderr)
        return 1
    with one_at_a_time(Path(sys.prefix)):
        if is_newer(Path(stamp), requirements):
            return 0  # another make did it while we waited
        status = install(requirements)
        if status == 0:
            Path(stamp).touch()
        return status


@contextmanager
def one_at_a_time(venv: Path) -> Iterator[None]:
    """Two `make run` at once must not install into the same place."""
    with (venv / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_newer(stamp: Path, requirements: list[str]) -> bool:
    if not stamp.exists():
        return False
    return all(Path(file).stat().st_mtime <= stamp.stat().st_mtime for file in requirements)


def install(requirements: list[str], what: str = "Installing packages") -> int:
    """Returns pip's exit status; its output is shown when it is not 0."""
    if importlib.util.find_spec("pip") is None:  # a .venv made by another tool
        subprocess.run([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=False)
    files = [option for file in requirements for option in ("-r", file)]
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--progress-bar", "off", *files]
    progress = Progress(what)
    with tempfile.TemporaryFile("w+") as output:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True
        )
        assert pip.stdout is not None
        for line in pip.stdout:
            output.write(line)
            progress.show(doing(line))
        status = pip.wait()
        if status == 0:
            progress.done()
        else:
            progress.failed()
            show_failure(output)
    return status


def doing(line: str) -> str:
    """A word on what pip is at, from a line of its output; empty: nothing worth telling."""
    if match := re.match(r"\s*(?:Downloading|Using cached)\s+(\S+?)-\d\S*(.*\))?", line):
        return f"fetching {match[1]}{match[2] or ''}"
    if line.startswith("Installing collected packages"):
        return f"unpacking {line.count(',') + 1} packages"
    return ""


def show_failure(output: IO[str]) -> None:
    output.flush()
    output.seek(0)
    lines = output.read().splitlines()
    print("\n".join(f"  pip: {line}" for line in lines[-SHOWN_ON_FAILURE:]), file=sys.stderr)
    errors = [line for line in lines if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "see above"
    print(f"make: the packages could not be installed: {reason}", file=sys.stderr)


class Progress:
    """`  what … word   12 s`, rewritten in place at a terminal."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began_at = self.shown_at = time.monotonic()
        self.in_place = sys.stdout.isatty()
        print(f"  {what} ...", end="" if self.in_place else "\n", flush=True)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self.began_at

    def show(self, word: str) -> None:
        if not word:
            return
        if self.in_place:
            print(f"\r  {self.what} ... {word[:40]:40} {self.took_s:3.0f} s", end="", flush=True)
        elif time.monotonic() - self.shown_at > QUIET_LINE_EVERY_S:
            self.shown_at = time.monotonic()
            print(f"  {self.what} ... {word}, {self.took_s:.0f} s", flush=True)

    def done(self) -> None:
        start = "\r" if self.in_place else ""
        print(f"{start}{f'  {self.what} ':.<44} {self.took_s:4.1f} s{' ' * 30}".rstrip(" "))

    def failed(self) -> None:
        if self.in_place:
            print()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as exc:
        sys.exit(f"make: {exc.strerror}: {exc.filename}")
