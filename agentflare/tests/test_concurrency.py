"""Work in threads."""

import gevent
import pytest

from agentflare import concurrency


def test_a_mistake_in_a_thread_is_told_to_the_caller_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """gevent writes what its threads raise to stderr: a client's bad image would fill the log."""
    monkeypatch.setattr(concurrency, "is_module_patched", lambda name: True)

    with pytest.raises(ValueError, match="invalid literal"):
        concurrency.off_loop(lambda: int("x"))
    assert concurrency.off_loop(lambda: int("1")) == 1

    assert capfd.readouterr().err == ""


def test_work_that_takes_too_long_is_not_waited_for_and_goes_on_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrency, "is_module_patched", lambda name: True)
    done = []

    def slowly() -> str:
        gevent.sleep(0.2)
        done.append(True)
        return "late"

    with pytest.raises(TimeoutError):
        concurrency.within(0.05, slowly)
    assert concurrency.within(1, slowly) == "late"
    with pytest.raises(ValueError, match="invalid literal"):
        concurrency.within(1, lambda: int("x"))
    assert len(done) == 2
