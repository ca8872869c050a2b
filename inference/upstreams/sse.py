"""Server-sent events, as a reader."""

from collections.abc import Iterable, Iterator


def payloads(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text of each `data:` line, in order, however the bytes were cut.

    Upstream sends one line for each event; comments and other fields are passed over.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()
