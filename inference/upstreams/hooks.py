"""What upstreams need of the catalogue, which is above them: it tells here."""

from collections.abc import Callable, Mapping

Testable = Callable[[str], Mapping[str, tuple[str, str]]]
_testable: Testable | None = None
_changed: Callable[[], None] | None = None


def tell_catalogue(*, testable: Testable, changed: Callable[[], None]) -> None:
    """Once, when the process starts. testable: server (empty: an account) → name of each model for
    chat or embeddings → upstream's name for it, and its kind. changed: makes processes look."""
    global _testable, _changed
    _testable, _changed = testable, changed


def testable_models(server: str) -> dict[str, tuple[str, str]]:
    """By name."""
    return dict(sorted(_testable(server).items())) if _testable else {}


def tell_changed() -> None:
    if _changed:
        _changed()
