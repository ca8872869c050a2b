"""Native reasoning models think inside their text: `<think>…</think>` before the answer."""

from collections.abc import Iterable, Iterator

from inference.chat.events import Delta, Event, Finish

_OPEN, _CLOSE = "<think>", "</think>"


def split_thoughts(events: Iterable[Event]) -> Iterator[Event]:
    """The events of one choice, with what stands between the marks as reasoning.

    A text that does not begin with the mark is passed on as it is.
    """
    pending, state, has_thought = "", "start", False
    for event in events:
        if isinstance(event, Finish):
            if pending:
                yield _piece(event.index, pending, is_thought=state == "thinking")
            yield event
            return
        if state == "answer" or not event.content:
            yield event
            continue
        pending += event.content
        event.content = ""
        if event:
            yield event
        if state == "start":
            text = pending.lstrip()
            if text.startswith(_OPEN):
                state, pending = "thinking", text[len(_OPEN) :]
            elif not _OPEN.startswith(text):
                state = "answer"
                yield _piece(event.index, pending, is_thought=False)
                pending = ""
        if state == "thinking":
            thought, mark, answer = pending.partition(_CLOSE)
            if mark:
                state, pending = "after", answer
                thought = thought.rstrip("\n")
            else:
                # With the line breaks before it, which belong to the mark.
                whole = thought
                thought = whole[: len(whole) - _possible_mark(whole)].rstrip("\n")
                pending = whole[len(thought) :]
            if not has_thought:
                thought = thought.lstrip("\n")
            if thought:
                has_thought = True
                yield _piece(event.index, thought, is_thought=True)
        if state == "after" and (answer := pending.lstrip("\n")):
            state, pending = "answer", ""
            yield _piece(event.index, answer, is_thought=False)


def _piece(index: int, text: str, *, is_thought: bool) -> Delta:
    return Delta(index=index, reasoning=text) if is_thought else Delta(index=index, content=text)


def _possible_mark(text: str) -> int:
    """How many characters at the end may be the beginning of the closing mark."""
    for length in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if _CLOSE.startswith(text[-length:]):
            return length
    return 0
