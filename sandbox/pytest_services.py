"""PostgreSQL and Valkey for the tests: `-p sandbox.pytest_services`.

Started before Django reads its settings, unless DATABASE_URL and REDIS_URL name
others; stopped at the end, and gone as well when pytest is killed. Each of pytest-xdist's
workers has its own: what one test does to all tenants, another one must not see.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from sandbox.errors import SandboxError
from sandbox.services import temporary_services

# Names the variables that we have set, to the workers.
OURS = "PYTEST_SERVICES_ADDED"


def is_handing_out(config: pytest.Config) -> bool:
    """Whether this process runs no test itself: pytest-xdist's workers do."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # told the same arguments
    return not is_worker and bool(getattr(config.known_args_namespace, "numprocesses", None))


# A wrapper, so that it comes before pytest-django's hook of the same name, which
# reads the settings.
@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    stack = ExitStack()
    # Also called when pytest gives up before the first test.
    early_config.add_cleanup(stack.close)
    # A worker inherits the environment of the process that hands out the tests.
    for name in os.environ.pop(OURS, "").split():
        del os.environ[name]
    try:
        added = stack.enter_context(temporary_services())
        os.environ.update(added)
        if is_handing_out(early_config):
            if not {"DATABASE_URL", "REDIS_URL"} <= added.keys():
                pytest.exit("Workers cannot share your DATABASE_URL or REDIS_URL: use -n 0", 4)
            os.environ[OURS] = " ".join(added)
    except SandboxError as exc:
        pytest.exit(str(exc), returncode=3)
    yield
