"""The migrations that there are, and those of the release to come."""

from bench.releases.coming import last_of, path_of
from tenants.registry import migrations

LAST = last_of(migrations)
__path__ = path_of(migrations, {"shared": ["shared"]})
