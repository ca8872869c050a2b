"""Server-sent events, as a reader."""

from collections.abc import Iterable, Iterator

# No event is longer: a picture in base64 is not.
_MAX_LINE_BYTES = 64 * 1024 * 1024


class LineTooLongError(ValueError):
    """More of it would fill our memory."""


def payloads(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text of each `data:` line, in order, however the bytes were cut.

    Upstream sends one line for each event; comments and other fields are passed over.
    Raises LineTooLongError.
    """
    # A line is put together once, however many pieces it comes in.
    rest: list[bytes] = []
    size = 0
    for piece in pieces:
        rest.append(piece)
        size += len(piece)
        if size > _MAX_LINE_BYTES:
            raise LineTooLongError
        if b"\n" not in piece:
            continue
        *lines, last = b"".join(rest).split(b"\n")
        rest, size = [last], len(last)
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    line = b"".join(rest)
    if line.startswith(b"data:"):
        yield line[5:].strip()
