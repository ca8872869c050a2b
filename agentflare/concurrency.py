"""Waiting and computing in a gevent worker, where one thread serves many requests."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import gevent
import gevent.pool
from gevent.monkey import is_module_patched

Result = TypeVar("Result")


def off_loop(work: Callable[[], Result]) -> Result:
    """Run CPU-bound `work` in a real thread where a gevent loop would stand still, else here.

    Code that lets go of the interpreter lock, as tiktoken's does, holds up nobody then; pure
    Python still takes turns with the loop, every few milliseconds.
    Raises what the work raises.
    """
    if not is_module_patched("threading"):
        return work()
    result, error = gevent.get_hub().threadpool.apply(_outcome, (work,))
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


class InterruptedWork(Exception):  # noqa: N818  # nothing went wrong
    """`Interruptible.interrupt` was called."""


class Interruptible(Generic[Result]):
    """Work that another greenlet may break off while this one waits for it.

    It runs in a greenlet of its own, so that breaking it off can hit nothing else. Without
    gevent it runs in `result`, and cannot be broken off.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._greenlet = gevent.spawn(_outcome, work) if is_module_patched("socket") else None

    def result(self) -> Result:
        """Raises what the work raises, or InterruptedWork."""
        if self._greenlet is None:
            return self._work()
        outcome = self._greenlet.get()
        if isinstance(outcome, gevent.GreenletExit):
            raise InterruptedWork
        result, error = outcome
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def interrupt(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)


def in_parallel(works: Sequence[Callable[[], Result]], *, at_once: int) -> list[Result]:
    """The results in order, `at_once` at a time in greenlets; one by one where there are none.

    After one has failed no other begins. Raises what the first of them (in order) raises, when
    all have ended: none goes on alone.
    """
    if len(works) < 2 or not is_module_patched("socket"):
        return [work() for work in works]
    has_failed = False

    def outcome(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
        nonlocal has_failed
        if has_failed:
            return None, None
        found = _outcome(work)
        has_failed = has_failed or found[1] is not None
        return found

    outcomes = gevent.pool.Pool(at_once).map(outcome, works)
    for _, error in outcomes:
        if error is not None:
            raise error
    return [result for result, _ in outcomes]


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result, waited for no longer than so. Raises TimeoutError; the work goes on alone.

    For a store that has stopped in the middle of an answer: nothing else ends such a wait.
    Without gevent it is waited for as long as it takes.
    """
    if not is_module_patched("socket"):
        return work()
    greenlet = gevent.spawn(_outcome, work)
    greenlet.join(timeout=seconds)
    if not greenlet.ready():
        raise TimeoutError(f"no answer within {seconds:g} s")
    result, error = greenlet.value
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _outcome(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    """A greenlet, or a thread of gevent's, prints what it raises; what is returned stays quiet."""
    try:
        return work(), None
    except Exception as exc:
        return None, exc
