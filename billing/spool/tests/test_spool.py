"""What neither store could take is kept on disk, and taken in once."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from agentflare.ids import uuid7
from billing import spool
from billing.spool import files
from billing.usage.events import UsageEvent

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.SPOOL_DIR = tmp_path / "spool"
    files._let_go_of_own()
    return tmp_path / "spool"


def event(cost_nusd: int = 7) -> UsageEvent:
    return UsageEvent(
        request_id=uuid7().hex,
        tenant_code="acme",
        key_id="abcdefgh",
        endpoint="chat.completions",
        ai_model="llama-3.3-70b-fast",
        upstream_model="@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        is_stream=False,
        estimated_nusd=10,
        price_version_id=1,
        started_at=1_800_000_000.0,
        cost_nusd=cost_nusd,
    )


def test_what_is_appended_is_taken_in_once_and_leaves_nothing(folder: Path) -> None:
    events = [event(), event()]
    for each in events:
        spool.append(each)
    taken: list[UsageEvent] = []

    assert spool.take_in(taken.append) == 2
    assert taken == events
    assert spool.take_in(taken.append) == 0
    assert list(folder.iterdir()) == []

    spool.append(events[0])
    assert spool.take_in(taken.append) == 1


def test_all_of_a_file_waits_on_when_there_is_no_store_for_it() -> None:
    events = [event(), event()]
    for each in events:
        spool.append(each)
    taken: list[UsageEvent] = []

    def fail_at_the_second(each: UsageEvent) -> None:
        if taken:
            raise OperationalError("PostgreSQL is down")
        taken.append(each)

    with pytest.raises(OperationalError):
        spool.take_in(fail_at_the_second)

    assert spool.take_in(taken.append) == 2
    # Delivered twice is booked once: by request id.
    assert taken == [events[0], *events]


WRITER = """
import django, sys, time
django.setup()
from billing import spool
from billing.usage.events import UsageEvent
for line in sys.stdin:
    spool.append(UsageEvent.loads(line))
    print("on disk", flush=True)
time.sleep(60)
"""


def start_writer(folder: Path, events: list[UsageEvent]) -> subprocess.Popen[str]:
    env = os.environ | {"SPOOL_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "agentflare.settings"}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=ROOT,
        env=env | {"SECRET_KEY": "test"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin
    assert writer.stdout
    for each in events:
        writer.stdin.write(each.dumps() + "\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "on disk\n"
    return writer


def test_the_file_of_another_process_is_its_own_until_that_is_killed(folder: Path) -> None:
    events = [event(), event(), event()]
    writer = start_writer(folder, events)
    taken: list[UsageEvent] = []
    assert spool.take_in(taken.append) == 0

    writer.kill()
    writer.wait()

    def slowly(each: UsageEvent) -> None:
        time.sleep(0.05)
        taken.append(each)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: spool.take_in(slowly), range(4)))
    assert sorted(counts) == [0, 0, 0, 3]
    assert taken == events


def test_a_line_that_was_never_finished_is_no_event(folder: Path) -> None:
    spool.append(event())
    files._let_go_of_own()
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(event().dumps().encode()[:50])

    assert spool.take_in(lambda _: None) == 1


def test_a_disk_that_fails_is_told_to_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("no folder")
    lost = event()

    spool.append(lost)

    assert lost.request_id in caplog.text
