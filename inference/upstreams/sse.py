"""Server-sent events, as a reader."""

import codecs
from collections.abc import Iterable, Iterator

# No event is longer: a picture in base64 is not.
_MAX_LINE_BYTES = 64 * 1024 * 1024


class LineTooLongError(ValueError):
    """More of it would fill our memory."""


def events(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The name and the text of each `data:` line, in order, however the bytes were cut.

    Upstream sends one line for each event; most have no name, which is then empty. Comments and
    other fields are passed over. Raises LineTooLongError.
    """
    name = b""
    for line in _lines(pieces):
        if line.startswith(b"data:"):
            yield name, line[5:].strip()
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif not line:
            name = b""


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    # A line is put together once, however many pieces it comes in.
    rest: list[bytes] = []
    size = 0
    is_first = True
    for piece in pieces:
        rest.append(piece)
        size += len(piece)
        if size > _MAX_LINE_BYTES:
            raise LineTooLongError
        if b"\n" not in piece:
            continue
        *lines, last = b"".join(rest).split(b"\n")
        rest, size = [last], len(last)
        if is_first:
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
            is_first = False
        for line in lines:
            yield line.rstrip(b"\r")
    yield b"".join(rest)
