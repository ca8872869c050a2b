"""`DJANGO_SETTINGS_MODULE=bench.releases.settings BENCH_RELEASE=expanded`: code of a later release.

expanded: tenants' schemas have a column and an index more. contracted: they have also lost a column
that this release uses. shared: the shared schema has a column more.
"""

from agentflare.settings import *  # noqa: F403

MIGRATION_MODULES = {"usage": "bench.releases.usage", "registry": "bench.releases.registry"}
