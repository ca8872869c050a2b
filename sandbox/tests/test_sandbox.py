"""Whole sandboxes around a small product: real servers, real gunicorn and Celery."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from sandbox.embedded import start_postgres, start_valkey
from sandbox.embedded.ports import HOST, free_port
from sandbox.supervisor.choices import PROJECT
from sandbox.supervisor.ready import status_of
from sandbox.supervisor.sandbox import LOOK_AT_MODELS_S
from sandbox.testing import OURS, RunningSandbox, wait_until
from sandbox.tests.conftest import Starter
from sandbox.tests.disks import fill, small_disk
from sandbox.tests.fake_product import commands, processes
from sandbox.tests.process_list import descendants, still_alive

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

CHILDREN = {"postgres", "valkey", "workers_ai", "stripe", "mail", "web", "worker", "beat"}
FIRST_STEPS = ["upgrade", "create_tenant", "grant_credit", "create_operator", "create_api_key"]

STOPPED_WITHIN_S = 15.0


def serves(sandbox: RunningSandbox) -> bool:
    return status_of(sandbox.port, "/health/ready") == 200


def redis_of(sandbox: RunningSandbox) -> redis.Redis:
    return redis.Redis.from_url(sandbox.env["REDIS_URL"], decode_responses=True)


def query(sandbox: RunningSandbox, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(sandbox.env["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def open_stream(sandbox: RunningSandbox) -> http.client.HTTPResponse:
    """A call that would go on for ever."""
    connection = http.client.HTTPConnection(HOST, sandbox.port, timeout=10)
    connection.request("GET", "/stream")
    response = connection.getresponse()
    assert response.readline() == b"tick\n"
    return response


def family_of(sandbox: RunningSandbox) -> set[int]:
    """The supervisor and everything it started; complete once Celery's pool is there."""
    everything = {"postgres", "web", "worker"}
    wait_until(lambda: all(descendants(sandbox.pid(name)) for name in everything))
    return {sandbox.process.pid} | descendants(sandbox.process.pid)


def refusal(sandbox: RunningSandbox) -> str:
    """The one line with which it ended, checked to be one."""
    output, _ = sandbox.process.communicate(timeout=60)
    assert sandbox.process.returncode == 1
    assert "Traceback" not in output
    [line] = [line for line in output.splitlines() if line.startswith("make run: ")]
    return line


# --- Starting ---------------------------------------------------------------------


def test_a_start_provisions_once_and_the_next_goes_on_with_the_same_data(
    start: Starter, project: Path
) -> None:
    first = start()
    first.wait_until_ready()
    before = first.env
    query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    redis_of(first).set("kept", "42")
    status, printed = first.stop()

    assert commands(project) == FIRST_STEPS
    assert len(set(processes(project))) == 1
    assert status == 0
    assert before["AGENTFLARE_API_KEY"] == (project / "key.txt").read_text()
    for shown in ("DASHBOARD_URL", "ADMIN_URL", "OWNER_PASSWORD", "OPERATOR_PASSWORD"):
        assert before[f"AGENTFLARE_{shown}"] in printed
    assert "curl" in printed

    second = start()
    second.wait_until_ready()

    assert commands(project) == [*FIRST_STEPS, "upgrade"]
    assert query(second, "SELECT answer FROM kept") == [(42,)]
    assert redis_of(second).get("kept") == "42"
    same = before.keys() - {"AGENTFLARE_URL", "AGENTFLARE_BASE_URL", "OPENAI_BASE_URL"}
    same -= {"AGENTFLARE_DASHBOARD_URL", "AGENTFLARE_ADMIN_URL"}  # another PORT
    assert {name: second.env[name] for name in same} == {name: before[name] for name in same}


def test_a_key_that_the_product_no_longer_knows_is_replaced(start: Starter, project: Path) -> None:
    first = start()
    first.wait_until_ready()
    first.stop()
    (project / "key.txt").unlink()

    second = start()
    second.wait_until_ready()

    assert commands(project) == FIRST_STEPS * 2
    assert second.env["AGENTFLARE_API_KEY"] == (project / "key.txt").read_text()


def test_demo_env_is_private_and_fit_for_a_shell(running: RunningSandbox) -> None:
    path = running.folder / "demo.env"

    assert path.stat().st_mode & 0o777 == 0o600
    shell = subprocess.run(
        ["sh", "-c", f". '{path}' && echo $AGENTFLARE_BASE_URL $AGENTFLARE_TENANT"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout == f"http://localhost:{running.port}/v1 acme\n"
    # And for whoever splits lines at the first equals sign.
    pairs = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} <= pairs.keys()
    # The stand-in's account, for commands that ask it.
    assert pairs["CLOUDFLARE_ACCOUNT_ID"] == "sandbox"


def test_two_run_side_by_side(start: Starter, tmp_path: Path) -> None:
    one, other = start(tmp_path / "one"), start(tmp_path / "other")
    one.wait_until_ready()
    other.wait_until_ready()

    assert serves(one)
    assert serves(other)
    assert one.env["DATABASE_URL"] != other.env["DATABASE_URL"]
    assert one.env["REDIS_URL"] != other.env["REDIS_URL"]

    one.stop()
    assert serves(other)
    assert one.env["SPOOL_DIR"] != other.env["SPOOL_DIR"]


def test_given_servers_are_used_and_left_running(start: Starter, tmp_path: Path) -> None:
    postgres = start_postgres(tmp_path, durable=False)
    valkey = start_valkey(tmp_path, durable=False)
    try:
        sandbox = start(
            DATABASE_URL=postgres.url,
            REDIS_URL=valkey.url,
            CLOUDFLARE_BASE_URL="http://127.0.0.1:9/client/v4",
            STRIPE_SECRET_KEY="sk_test_of_somebody",
            STRIPE_WEBHOOK_SECRET="whsec_of_somebody",
            EMAIL_URL="smtp://127.0.0.1:9",
        )
        sandbox.wait_until_ready()
        wait_until(lambda: sandbox.pids().keys() == {"supervisor", "web", "worker", "beat"})
        assert sandbox.env["DATABASE_URL"] == postgres.url
        assert sandbox.env["CLOUDFLARE_BASE_URL"] == "http://127.0.0.1:9/client/v4"
        sandbox.stop()

        assert postgres.is_ready()
        assert valkey.is_ready()
    finally:
        postgres.kill()
        valkey.kill()


# --- Refusals ---------------------------------------------------------------------


def test_a_port_in_use_is_told_before_anything_is_started(start: Starter, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(start(PORT=str(port)))

    assert line == (f"make run: port {port} is in use. Choose another: PORT={port + 1} make run")
    assert not (tmp_path / "data").exists()


def test_a_second_one_in_the_same_folder_does_not_disturb_the_first(
    running: RunningSandbox, start: Starter
) -> None:
    assert "is already running" in refusal(start(running.folder))

    assert serves(running)
    assert running.env


def test_a_failing_step_is_named_with_its_reason(start: Starter) -> None:
    sandbox = start(FAKE_FAILING_STEP="grant_credit")

    line = refusal(sandbox)

    assert "`manage.py grant_credit` failed: CommandError: this step fails" in line
    assert f"(log: {sandbox.folder}/logs/steps.log)" in line
    assert still_alive(set(sandbox.pids().values())) == {}


def test_a_web_server_that_cannot_start_is_given_up(start: Starter) -> None:
    sandbox = start(FAKE_BROKEN_WEB="1")

    assert "web does not start: RuntimeError: the product is broken" in refusal(sandbox)


def test_damaged_data_is_refused_with_the_reason(start: Starter) -> None:
    first = start()
    first.wait_until_ready()
    first.stop()
    (first.folder / "postgres" / "global" / "pg_control").write_bytes(b"")

    assert "PostgreSQL does not start" in refusal(start())


def test_a_disk_that_fills_up_is_told_and_survived(start: Starter, tmp_path: Path) -> None:
    with small_disk(tmp_path, size_mb=420) as disk:
        sandbox = start(disk / "data")
        sandbox.wait_until_ready()
        query(sandbox, "CREATE TABLE kept AS SELECT 42 AS answer")
        filling = fill(disk)
        with pytest.raises(psycopg.Error):
            query(sandbox, "CREATE TABLE big AS SELECT generate_series(1, 3000000)")
        time.sleep(1.5)  # it looks every second

        filling.unlink()
        wait_until(lambda: query(sandbox, "SELECT answer FROM kept") == [(42,)])
        status, printed = sandbox.stop()
        assert status == 0
        assert printed.count("the disk is nearly full") == 1


# --- Stopping ---------------------------------------------------------------------


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_in_time_with_streams_running(ready: RunningSandbox, sign: signal.Signals) -> None:
    family = family_of(ready)
    stream = open_stream(ready)

    began_at = time.monotonic()
    ready.process.send_signal(sign)
    output, _ = ready.process.communicate(timeout=20)

    assert time.monotonic() - began_at < STOPPED_WITHIN_S
    assert ready.process.returncode == 0
    assert "Traceback" not in output
    assert still_alive(family) == {}
    assert "database system is shut down" in ready.log("postgres")
    stream.close()


def test_a_second_ctrl_c_does_not_wait(ready: RunningSandbox) -> None:
    family = family_of(ready)
    stream = open_stream(ready)
    redis_of(ready).set("kept", "1")

    ready.process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    began_at = time.monotonic()
    ready.process.send_signal(signal.SIGINT)
    ready.process.wait(timeout=20)

    assert time.monotonic() - began_at < 3
    assert still_alive(family) == {}
    stream.close()


def test_a_signal_that_arrives_twice_at_once_is_no_second_ctrl_c(ready: RunningSandbox) -> None:
    """`timeout make run`: the signal comes from timeout, and again from make."""
    ready.process.send_signal(signal.SIGTERM)
    ready.process.send_signal(signal.SIGTERM)
    ready.process.communicate(timeout=20)

    assert "database system is shut down" in ready.log("postgres")


def test_it_stops_while_a_step_is_running(start: Starter, project: Path) -> None:
    sandbox = start(FAKE_STEP_S="60")
    wait_until((project / "commands.txt").exists, timeout_s=30)
    family = {sandbox.process.pid} | descendants(sandbox.process.pid)

    began_at = time.monotonic()
    status, _ = sandbox.stop()

    assert time.monotonic() - began_at < STOPPED_WITHIN_S
    assert status == 0
    assert still_alive(family) == {}
    assert not (sandbox.folder / "demo.env").exists()


@pytest.mark.skipif(not shutil.which("make"), reason="GNU make is missing")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_stops_when_only_make_gets_the_signal(
    project: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} -m sandbox run --project {project}\n")
    variables = {"SANDBOX_DIR": str(tmp_path / "data"), "PORT": str(free_port())}
    make = subprocess.Popen(
        ["make", "-f", makefile, "run"],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name not in OURS} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that starts the tests in the background lets all of them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    wait_until((tmp_path / "data" / "demo.env").exists, timeout_s=60)
    family = descendants(make.pid)
    assert len(family) > 10

    make.send_signal(sign)

    wait_until(lambda: not still_alive(family), timeout_s=STOPPED_WITHIN_S)
    printed, _ = make.communicate(timeout=20)
    assert printed.endswith("same data.\n\nStopping.\n")


def test_a_small_model_that_a_call_has_missed_is_offered_once(
    ready: RunningSandbox, project: Path
) -> None:
    (project / "missed.txt").write_text("embedder voice")
    time.sleep(2 * LOOK_AT_MODELS_S + 1)

    _, printed = ready.stop()

    [line] = [line for line in printed.splitlines() if "a call asked for a small model" in line]
    assert "(embedder, voice)" in line
    assert "`make models`" in line


# --- kill -9 ----------------------------------------------------------------------


def test_kill_9_of_the_supervisor_leaves_nothing_and_loses_nothing(
    ready: RunningSandbox, start: Starter
) -> None:
    family = family_of(ready)
    stream = open_stream(ready)
    query(ready, "CREATE TABLE kept AS SELECT 42 AS answer")
    redis_of(ready).set("kept", "42")

    ready.process.kill()
    ready.process.wait()
    wait_until(lambda: not still_alive(family), timeout_s=STOPPED_WITHIN_S)
    stream.close()

    second = start()
    second.wait_until_ready()
    assert query(second, "SELECT answer FROM kept") == [(42,)]
    assert redis_of(second).get("kept") == "42"


def test_a_start_right_after_kill_9_waits_for_what_is_left(
    ready: RunningSandbox, start: Starter
) -> None:
    redis_of(ready).set("kept", "42")
    ready.process.kill()

    second = start()
    second.wait_until_ready()

    assert redis_of(second).get("kept") == "42"


def test_every_child_that_is_killed_comes_back_with_its_data(ready: RunningSandbox) -> None:
    query(ready, "CREATE TABLE kept AS SELECT 42 AS answer")
    redis_of(ready).set("kept", "42")
    wait_until(lambda: ready.pids().keys() == CHILDREN | {"supervisor"})
    env = ready.env

    for name in sorted(CHILDREN):
        family = descendants(ready.pid(name))
        killed = ready.kill(name)
        ready.wait_for_another(name, than_pid=killed)
        # gunicorn's workers, Celery's pool, PostgreSQL's backends: of the old ones none.
        wait_until(lambda family=family: not still_alive(family))  # type: ignore[misc]

    def is_whole() -> bool:
        try:
            return (
                serves(ready)
                and query(ready, "SELECT answer FROM kept") == [(42,)]
                and redis_of(ready).get("kept") == "42"
            )
        except (psycopg.OperationalError, redis.RedisError):
            return False  # still recovering

    wait_until(is_whole, timeout_s=30)
    assert ready.env == env
    _, printed = ready.stop()
    for name in CHILDREN:
        assert printed.count(f"{name} ended (SIGKILL); starting it again") == 1


def test_killed_together_all_come_back(ready: RunningSandbox) -> None:
    redis_of(ready).set("kept", "42")
    wait_until(lambda: ready.pids().keys() == CHILDREN | {"supervisor"})
    killed = {name: ready.kill(name) for name in CHILDREN}

    for name, pid in killed.items():
        ready.wait_for_another(name, than_pid=pid)
    wait_until(lambda: serves(ready), timeout_s=30)

    def answers() -> bool:
        try:
            return redis_of(ready).get("kept") == "42" and query(ready, "SELECT 1") == [(1,)]
        except (psycopg.OperationalError, redis.RedisError):
            return False

    wait_until(answers, timeout_s=30)


def test_web_servers_left_behind_are_ended_before_the_port_is_used_again(
    ready: RunningSandbox,
) -> None:
    """gunicorn's workers outlive their killed master for a second, and hold its port."""
    for _ in range(3):
        killed = ready.kill("web")
        ready.wait_for_another("web", than_pid=killed)
        wait_until(lambda: serves(ready))

    assert "Address already in use" not in ready.log("web")
    assert "Connection in use" not in ready.log("web")


# --- Stripe -----------------------------------------------------------------------


def test_the_stripe_stand_in_and_the_product_share_their_secrets(running: RunningSandbox) -> None:
    base = running.env["STRIPE_API_BASE"]
    stand_in = requests.get(f"{base}/health", timeout=5).json()

    assert stand_in["told"] == {
        name: running.env[name] for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
    }
    assert stand_in["told"]["STRIPE_SECRET_KEY"].startswith("sk_test_")
    options = stand_in["arguments"]
    webhooks = f"http://127.0.0.1:{running.port}/webhooks/stripe"
    assert options[options.index("--webhook-url") + 1] == webhooks
    assert options[options.index("--file") + 1] == str(running.folder / "stripe.jsonl")


def test_with_a_key_of_stripe_there_is_no_stand_in(start: Starter) -> None:
    given = {"STRIPE_SECRET_KEY": "sk_test_given", "STRIPE_WEBHOOK_SECRET": "whsec_given"}
    sandbox = start(**given)
    sandbox.wait_until_ready()

    assert "stripe" not in sandbox.pids()
    assert given.items() <= sandbox.env.items()
    assert "STRIPE_API_BASE" not in sandbox.env


# --- Mail ---------------------------------------------------------------------------


def test_mails_go_to_the_mailbox_which_the_ready_block_names(ready: RunningSandbox) -> None:
    mail_url, mailbox_url = ready.env["EMAIL_URL"], ready.env["MAILBOX_URL"]

    _, output = ready.stop()

    assert mail_url.startswith("smtp://127.0.0.1:")
    assert f"Mailbox     {mailbox_url}\n" in output


def test_with_a_mail_server_there_is_no_mailbox(start: Starter) -> None:
    sandbox = start(EMAIL_URL="smtp://mail.example:25")
    sandbox.wait_until_ready()
    env, pids = sandbox.env, sandbox.pids()

    _, output = sandbox.stop()

    assert "mail" not in pids
    assert env["EMAIL_URL"] == "smtp://mail.example:25"
    assert "MAILBOX_URL" not in env
    assert "Mailbox" not in output
