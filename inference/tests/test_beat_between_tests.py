"""The running product that many tests share does nothing of its own accord in other tests."""

import subprocess
from typing import Any


def state_of(process_id: int) -> str:
    command = ["ps", "-o", "state=", "-p", str(process_id)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_beat_runs_in_tests_of_the_running_product(gateway: Any) -> None:
    assert not state_of(gateway.sandbox.pid("beat")).startswith("T")


def test_beat_stands_still_in_all_others(_running_sandbox: Any) -> None:  # noqa: PT019
    assert state_of(_running_sandbox.pid("beat")).startswith("T")
