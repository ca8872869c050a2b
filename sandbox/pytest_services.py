"""PostgreSQL and Valkey for the tests: `-p sandbox.pytest_services`.

Started before Django reads its settings, unless DATABASE_URL and REDIS_URL name
others; stopped at the end, and gone as well when pytest is killed. Each of pytest-xdist's
workers has its own: what one test does to all tenants, another one must not see.

With SANDBOX_TEMPLATE=1 they, and those of the sandboxes that tests start, begin with a copy of
tables that were made once.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.embedded import start_postgres
from sandbox.embedded.postgres import TEMPLATE_VARIABLE, the_tests_template
from sandbox.errors import SandboxError
from sandbox.services import SANDBOX_DEFAULTS, temporary_services
from sandbox.supervisor.choices import PROJECT

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
            if os.environ.get("SANDBOX_TEMPLATE") == "1" and not the_tests_template():
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentflare-"))
                os.environ[TEMPLATE_VARIABLE] = str(make_template(Path(folder), added))
                stack.callback(os.environ.pop, TEMPLATE_VARIABLE)
    except SandboxError as exc:
        pytest.exit(str(exc), returncode=3)
    yield


def make_template(folder: Path, services: Mapping[str, str]) -> Path:
    """The data of a PostgreSQL that the product was installed in. Raises SandboxError."""
    folder.chmod(0o711)
    postgres = start_postgres(folder, durable=False)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "upgrade"],
            cwd=PROJECT,
            env={**SANDBOX_DEFAULTS, **os.environ, **services, "DATABASE_URL": postgres.url},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        postgres.stop()
    if done.returncode:
        raise SandboxError(f"`manage.py upgrade` of the tests' template failed: {done.stderr}")
    return postgres.folder
