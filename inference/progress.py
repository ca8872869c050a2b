"""How far the request that is being served has come, for whoever handles its failure."""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class Progress:
    """model: as the client named it. is_admitted: from then on the call has a usage record."""

    request_id: UUID
    model: str
    is_admitted: bool = False


# Each request is served by a greenlet or a thread, which has contexts of its own. What an earlier
# request has left there is told by its id.
_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


def note_asked(request_id: UUID, model: str) -> None:
    _current.set(Progress(request_id, model))


def note_admitted(request_id: UUID) -> None:
    """Also for a request of several calls: one that was let through is enough."""
    progress = of(request_id)
    progress.is_admitted = True
    _current.set(progress)


def of(request_id: UUID) -> Progress:
    progress = _current.get()
    if progress is None or progress.request_id != request_id:
        return Progress(request_id, "")
    return progress
