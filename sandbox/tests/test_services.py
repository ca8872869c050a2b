"""`python -m sandbox exec` and the pytest plugin: servers for one command, gone with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.supervisor.choices import PROJECT
from sandbox.testing import wait_until
from sandbox.tests.process_list import descendants, still_alive

GIVEN = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"}


def bare_environment(tmp_path: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in GIVEN}
    return env | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(PROJECT)}


def execute(tmp_path: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "exec", "--", *command],
        env=bare_environment(tmp_path) | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


USE_BOTH = """
import os, psycopg, redis
print(psycopg.connect(os.environ["DATABASE_URL"]).execute("SELECT 40 + 2").fetchone())
print(redis.Redis.from_url(os.environ["REDIS_URL"]).ping(), len(os.environ["SECRET_KEY"]) > 20)
"""


def test_a_command_finds_both_servers(tmp_path: Path) -> None:
    done = execute(tmp_path, sys.executable, "-c", USE_BOTH)

    assert (done.stdout, done.stderr, done.returncode) == ("(42,)\nTrue True\n", "", 0)


def test_the_commands_status_is_ours_and_nothing_stays_behind(tmp_path: Path) -> None:
    assert execute(tmp_path, "sh", "-c", "exit 7").returncode == 7
    assert execute(tmp_path, "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert list(tmp_path.iterdir()) == []


def test_given_servers_are_not_started(tmp_path: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://given", "REDIS_URL": "redis://given"}

    done = execute(tmp_path, "sh", "-c", "echo $DATABASE_URL $REDIS_URL; ls $TMPDIR/*", **urls)

    [first, *files] = done.stdout.splitlines()
    assert first == "postgresql://given redis://given"
    assert files == []


def test_servers_of_a_sourced_demo_env_are_left_alone(tmp_path: Path) -> None:
    demo_env = tmp_path / "demo.env"
    demo_env.write_text("DATABASE_URL=postgresql://sandbox\nREDIS_URL=redis://sandbox\n")

    done = execute(
        tmp_path,
        "sh",
        "-c",
        "echo $DATABASE_URL $REDIS_URL",
        DATABASE_URL="postgresql://sandbox",
        REDIS_URL="redis://sandbox",
        AGENTFLARE_DEMO_ENV=str(demo_env),
    )

    assert "@127.0.0.1" in done.stdout
    assert "//sandbox" not in done.stdout


def test_a_command_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    done = execute(tmp_path, "no-such-command")

    assert done.returncode == 127
    assert done.stderr == "no-such-command: no such command\n"


def test_sigterm_ends_the_command_and_the_servers(tmp_path: Path) -> None:
    ours = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "exec", "sh", "-c", "touch $TMPDIR/up; exec sleep 60"],
        env=bare_environment(tmp_path),
    )
    wait_until((tmp_path / "up").exists, timeout_s=30)
    family = descendants(ours.pid)

    ours.send_signal(signal.SIGTERM)

    assert ours.wait(timeout=10) == 128 + signal.SIGTERM
    assert still_alive(family) == {}


A_TEST = """
import os, pytest
pytest_plugins = []
at_import = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]

def test_both_are_there():
    import psycopg, redis
    assert psycopg.connect(at_import[0]).execute("SELECT 1").fetchone() == (1,)
    assert redis.Redis.from_url(at_import[1]).ping()

def test_it_lasts():
    import time, pathlib
    if "LAST" in os.environ:
        pathlib.Path(os.environ["LAST"]).touch()
        time.sleep(60)
"""


def run_pytest(tmp_path: Path, **variables: str) -> subprocess.Popen[str]:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text(A_TEST)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p sandbox.pytest_services\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env=bare_environment(temporary) | variables,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_tests_find_both_servers_and_leave_nothing_behind(tmp_path: Path) -> None:
    tests = run_pytest(tmp_path)

    printed, _ = tests.communicate(timeout=60)

    assert "2 passed" in printed
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_tests_take_their_servers_along(tmp_path: Path) -> None:
    tests = run_pytest(tmp_path, LAST=str(tmp_path / "up"))
    wait_until((tmp_path / "up").exists, timeout_s=30)
    family = descendants(tests.pid)
    assert len(family) > 3

    tests.kill()
    tests.communicate()

    wait_until(lambda: not still_alive(family), timeout_s=5)


def test_the_plugin_comes_before_django_reads_its_settings(tmp_path: Path) -> None:
    """pytest-django's own hook does so, and would fail without DATABASE_URL."""
    settings = tmp_path / "needs_url.py"
    settings.write_text("import os\nDATABASE = os.environ['DATABASE_URL']\nSECRET_KEY = 'x'\n")
    (tmp_path / "test_it.py").write_text(
        "def test_it(settings):\n    assert settings.DATABASE.startswith('postgresql://')\n"
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p sandbox.pytest_services\nDJANGO_SETTINGS_MODULE = needs_url\n"
        "pythonpath = .\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=bare_environment(tmp_path) | {"PYTHONPATH": f"{PROJECT}:{tmp_path}"},
        capture_output=True,
        text=True,
    )

    assert "1 passed" in done.stdout, done.stdout + done.stderr
