"""One tool call at a time, for clients that ask for it (`parallel_tool_calls: false`)."""

from collections.abc import Iterable, Iterator

from inference.chat.events import Event, Finish


def first_call_only(events: Iterable[Event]) -> Iterator[Event]:
    """The events without any tool call after the first of its choice.

    Native models cannot be told, and the others do not always obey; a client that asked for
    one call at a time would answer one of several, and break the conversation.
    """
    first: dict[int, int] = {}
    for event in events:
        if isinstance(event, Finish) or not event.tool_calls:
            yield event
            continue
        allowed = first.setdefault(event.index, event.tool_calls[0]["index"])
        event.tool_calls = [call for call in event.tool_calls if call["index"] == allowed]
        if event:
            yield event
