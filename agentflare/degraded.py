"""Which stores this process does without at the moment: what answers and /health say."""

HEADER = "x-agentflare-degraded"

# Store → what says that it is not to be had.
_causes: dict[str, set[str]] = {}


def enter(store: str, *, cause: str) -> None:
    """Repeats change nothing."""
    _causes.setdefault(store, set()).add(cause)


def leave(store: str, *, cause: str) -> None:
    """A store is back when nothing says otherwise. Repeats change nothing."""
    causes = _causes.get(store, set())
    causes.discard(cause)
    if not causes:
        _causes.pop(store, None)


def stores() -> list[str]:
    """Names of those that are down, "postgresql" and "redis"; empty while all is well."""
    return sorted(_causes)
