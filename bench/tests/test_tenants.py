"""The bench of the operator's side, as small as it gets."""

import json
import subprocess
import sys

import pytest

from bench.stack import PROJECT


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_few_tenants_are_made_used_looked_at_and_migrated_and_the_books_agree() -> None:
    # In a process of its own: it brings its stores, and this one has some already.
    sizes = ["--tenants", "3", "--records", "60", "--rounds", "2"]
    command = [sys.executable, "-m", "bench", "tenants", *sizes, "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["settled"] == {"tenants": 3, "records": 60 + 1}
    assert found["upgrade"]["killed after"]
    assert ", 0 failed; " in found["upgrade"]["calls meanwhile"]
    assert len(found["made_ms"]) == 3
    assert found["pages_of_few"].keys() == found["pages"].keys()
    assert all(took_s > 0 for took_s in found["took_s"].values())
    assert all(page["statements"] > 2 for page in found["pages"].values())
    assert found["tasks"]["roll_up_task"]["statements"] > 0
