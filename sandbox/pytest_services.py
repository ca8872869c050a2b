"""PostgreSQL and Valkey for the tests: `-p sandbox.pytest_services`.

Started before Django reads its settings, unless DATABASE_URL and REDIS_URL name
others; stopped at the end, and gone as well when pytest is killed.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from sandbox.errors import SandboxError
from sandbox.services import temporary_services


# A wrapper, so that it comes before pytest-django's hook of the same name, which
# reads the settings.
@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    stack = ExitStack()
    # Also called when pytest gives up before the first test.
    early_config.add_cleanup(stack.close)
    try:
        os.environ.update(stack.enter_context(temporary_services()))
    except SandboxError as exc:
        pytest.exit(str(exc), returncode=3)
    yield
