"""Stop sequences, for models that do not take them upstream."""

from collections.abc import Iterable, Iterator

from inference.chat.events import Delta, Event, Finish


def stop_at(events: Iterable[Event], stops: list[str]) -> Iterator[Event]:
    """The events of one choice up to the first stop sequence, which is left out.

    Text that may be the beginning of one is kept back until it is known. After the stop
    the choice finishes and nothing more is read.
    """
    pending = ""
    for event in events:
        if isinstance(event, Finish):
            if pending:
                yield Delta(index=event.index, content=pending)
            yield event
            return
        if not event.content:
            yield event
            continue
        pending += event.content
        found = [(at, stop) for stop in stops if (at := pending.find(stop)) >= 0]
        if found:
            cut, stop = min(found)
            event.content = pending[:cut]
            if event:
                yield event
            yield Finish(event.index, "stop", stop_sequence=stop)
            return
        keep = _possible_start(pending, stops)
        event.content, pending = pending[: len(pending) - keep], pending[len(pending) - keep :]
        if event:
            yield event


def _possible_start(text: str, stops: list[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop sequence."""
    for length in range(min(len(text), max(map(len, stops)) - 1), 0, -1):
        tail = text[-length:]
        if any(stop.startswith(tail) for stop in stops):
            return length
    return 0
