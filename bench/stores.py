"""PostgreSQL and Valkey alone, with the product's tables, for benches that call the product's own
code: they sync to disk as in production, listen on 127.0.0.1, and go with us."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django

from bench.stack import PROJECT, BenchError
from sandbox.embedded import start_postgres, start_valkey


@contextmanager
def running_stores() -> Iterator[Path]:
    """Set this process up for Django on stores of its own. Gives their folder.

    TMPDIR chooses where. Once in the life of a process: Django is set up once.
    """
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="agentflare-bench-")))
        folder.chmod(0o711)  # PostgreSQL may run as someone else
        valkey = start_valkey(folder)
        exits.callback(valkey.kill)
        postgres = start_postgres(folder)
        exits.callback(postgres.stop_quickly)
        os.environ |= {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "SECRET_KEY": secrets.token_urlsafe(32),
            "ARCHIVE_DIR": str(folder / "archive"),
            "AGENTFLARE_SANDBOX": "1",
            "DJANGO_SETTINGS_MODULE": "agentflare.settings",
            "LOG_LEVEL": "WARNING",
        }
        command = [sys.executable, "manage.py", "upgrade"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"manage.py upgrade: {done.stdout}{done.stderr}")
        django.setup()
        yield folder
