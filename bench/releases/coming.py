"""Where Django finds an app's migrations, with those of the release that BENCH_RELEASE names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType


def path_of(migrations: ModuleType, more: Mapping[str, Sequence[str]]) -> list[str]:
    """more: release → folders here, of migrations that it adds."""
    chosen = more.get(os.environ.get("BENCH_RELEASE", ""), ())
    return [*migrations.__path__, *(str(Path(__file__).parent / folder) for folder in chosen)]


def last_of(migrations: ModuleType) -> str:
    """The last one there is; what is to come builds on it."""
    return max(path.stem for path in Path(migrations.__path__[0]).glob("0*.py"))
