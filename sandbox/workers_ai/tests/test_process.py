"""The process: starting, many calls at once, stopping."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
import requests

from sandbox.workers_ai.settings import DEFAULT_MODEL_FILE, REPOSITORY
from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, script, wait_until
from sandbox.workers_ai.tests.conftest import running

STREAMS = 300
CALLS = 400


async def read_stream(session: aiohttp.ClientSession, caller: Caller, number: int) -> str:
    body = {"model": OPENAI, **ask(script(tokens=10, chunk_ms=100), stream=True)}
    url = f"{caller.base}/v1/chat/completions"
    async with session.post(url, json=body, headers=caller.headers()) as response:
        return await response.text()


async def count_calls(session: aiohttp.ClientSession, caller: Caller, times: int) -> int:
    """Short calls one after another; how many succeeded."""
    done = 0
    for _ in range(times):
        url = f"{caller.base}/run/{NATIVE}"
        async with session.post(url, json=ask("Hi"), headers=caller.headers()) as response:
            done += (await response.json())["success"]
    return done


async def many_at_once(caller: Caller) -> tuple[list[str], int]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        streams = asyncio.gather(*(read_stream(session, caller, i) for i in range(STREAMS)))
        done = await asyncio.gather(*(count_calls(session, caller, CALLS // 8) for _ in range(8)))
        return await streams, sum(done)


def test_many_slow_streams_and_short_calls_at_once(stand_in: Caller) -> None:
    started = time.monotonic()

    streams, done = asyncio.run(many_at_once(stand_in))

    assert done == CALLS
    assert all(text.count('"content":"') == 11 for text in streams)
    assert all(text.endswith("data: [DONE]\n\n") for text in streams)
    # 0.9 s by the clock of the stream; one after the other they would take minutes.
    assert time.monotonic() - started < 30


def test_stops_within_a_second_with_calls_under_way() -> None:
    with running("--scripted-only") as (caller, process):
        hanging = [caller.raw_post(f"run/{NATIVE}", ask(script(hang=True))) for _ in range(20)]
        body = ask(script(tokens=100, chunk_ms=1000), stream=True)
        hanging += [caller.raw_post(f"run/{NATIVE}", body) for _ in range(20)]
        wait_until(lambda: len(caller.calls()) == 40)

        process.send_signal(signal.SIGTERM)
        # A second, and room for a busy machine; the streams alone go on for a hundred.
        assert process.wait(timeout=20) == 0
        for connection in hanging:
            connection.close()


def test_without_the_local_model_a_call_for_real_text_is_refused(no_such_file: Path) -> None:
    with running("--model-file", str(no_such_file)) as (caller, _):
        refusal = caller.error(caller.run(NATIVE, ask("Hi")))
        in_stream = caller.error(caller.chat(OPENAI, ask("Hi", stream=True)))
        tool = {"type": "function", "function": {"name": "greet"}}
        for_tool = caller.error(
            caller.chat(OPENAI, ask("Hi", tools=[tool], tool_choice="required"))
        )
        scripted = caller.run(NATIVE, ask(script(text="yes")))
        health = requests.get(f"{caller.url}/health", timeout=5).json()

    for status, code, message in (refusal, in_stream, for_tool):
        assert (status, code) == (500, 3043)
        assert "the sandbox's local model is not installed" in message
        assert "make run" in message
    assert scripted.json()["result"]["response"] == "yes"
    assert health["local_model"] == "not_installed"


def test_model_file_that_is_none_is_refused_after_some_tries(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    with running("--model-file", str(broken)) as (caller, _):
        assert caller.run(NATIVE, ask(script(text="yes"))).status_code == 200
        state = requests.get(f"{caller.url}/health", timeout=5).json()["local_model"]
        assert state == "starting"


def child_of(pid: int, command_part: bytes = b"local_model_process") -> int | None:
    """The process id of a model's process below `pid`, from /proc."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
            status = (path.parent / "stat").read_text()
        except OSError:
            continue
        parent = int(status.rpartition(")")[2].split()[1])
        if parent == pid and command_part in command:
            return int(path.parent.name)
    return None


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


needs_model_and_proc = pytest.mark.skipif(
    not DEFAULT_MODEL_FILE.exists() or sys.platform != "linux",
    reason="needs the local model's file, and /proc",
)


@needs_model_and_proc
def test_local_model_ends_with_a_killed_parent() -> None:
    command = [sys.executable, "-m", "sandbox.workers_ai", "--port", "0"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    wait_until(lambda: child_of(process.pid) is not None, 10)
    child = child_of(process.pid)
    assert child is not None

    process.kill()
    process.wait()

    wait_until(lambda: not is_alive(child), 15)


@needs_model_and_proc
def test_local_model_is_started_again_when_it_dies() -> None:
    with running() as (caller, process):
        wait_until(lambda: child_of(process.pid) is not None, 10)
        first = child_of(process.pid)
        assert first is not None
        assert caller.run(NATIVE, ask("Hi", max_tokens=2)).status_code == 200

        os.kill(first, signal.SIGKILL)

        wait_until(lambda: child_of(process.pid) not in (None, first), 10)
        assert caller.run(NATIVE, ask("Hi", max_tokens=2)).status_code == 200
