"""A duty runs once in a process."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentflare.background import ProcessThread


def test_however_often_it_is_asked_for_it_runs_once_until_it_dies() -> None:
    begun, may_end = [], threading.Event()

    def duty() -> None:
        begun.append(1)
        may_end.wait(10)

    thread = ProcessThread("duty", duty)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: thread.start(), range(50)))
    assert len(begun) == 1
    may_end.set()
    assert thread._thread is not None
    thread._thread.join(10)
    thread.start()
    assert len(begun) == 2


def test_a_forked_process_has_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = [], threading.Event()
    thread = ProcessThread("duty", lambda: (begun.append(1), may_end.wait(10), None)[-1])
    thread.start()
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    thread.start()
    thread.start()
    may_end.set()
    assert len(begun) == 2
