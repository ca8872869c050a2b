"""The migrations that there are, and those of the release to come."""

from bench.releases.coming import last_of, path_of
from billing.usage import migrations

LAST = last_of(migrations)
__path__ = path_of(migrations, {"expanded": ["expanded"], "contracted": ["expanded", "contracted"]})
