"""The bench of agents, as small as it gets."""

import json
import subprocess
import sys

import pytest

from bench.stack import PROJECT


@pytest.mark.slow
def test_pages_are_read_drops_are_resumed_and_sockets_answer() -> None:
    sizes = ["--messages", "300", "--sockets", "5", "--resumes", "10"]
    command = [sys.executable, "-m", "bench", "agents", *sizes, "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["resumes"] == 10
    assert len(found["page_ms"]) == 6
    assert all(ms > 0 for ms in found["page_ms"].values())
