"""Turns that go on without a reader, in threads of the web process (greenlets there)."""

import logging
import threading
import time

from django.db import connections

from agents.turns.run import TurnRun

logger = logging.getLogger(__name__)

_running: set[threading.Thread] = set()


def run_in_background(run: TurnRun) -> None:
    """To its end, whoever listens. It must be admitted."""
    thread = threading.Thread(target=_run, args=(run,), name="turn", daemon=True)
    _running.add(thread)
    thread.start()


def wait_for_all(timeout_s: float) -> bool:
    """For a process that ends."""
    deadline = time.monotonic() + timeout_s
    for thread in list(_running):
        thread.join(max(0.0, deadline - time.monotonic()))
    return not _running


def _run(run: TurnRun) -> None:
    try:
        for _ in run.events():
            pass
        if run.log is not None:
            run.log.wait_until_written(10)
    except BaseException:
        logger.exception("Turn %s broke", run.state.id.hex)
    finally:
        run.close()
        # Of this thread: nobody else gives them back.
        connections.close_all()
        _running.discard(threading.current_thread())
