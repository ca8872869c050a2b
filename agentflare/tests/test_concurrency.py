"""Work in threads."""

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
