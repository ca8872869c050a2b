"""The migrations that there are, and those of the release to come."""

import os
from pathlib import Path

from tenants.registry import migrations

_MORE = {"shared": ["shared"]}
_chosen = _MORE.get(os.environ.get("BENCH_RELEASE", ""), [])
# The last one there is; what is to come builds on it.
LAST = max(path.stem for path in Path(migrations.__path__[0]).glob("0*.py"))

__path__ = [*migrations.__path__, *(str(Path(__file__).parent.parent / each) for each in _chosen)]
