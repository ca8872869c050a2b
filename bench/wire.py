"""As much HTTP/1.1 as both ends of the bench need."""

import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


def head_and_length(message: bytes) -> tuple[int, int]:
    """Where the body begins (0: the head is not complete) and its Content-Length, else 0."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        return 0, 0
    found = _LENGTH.search(message, 0, end)
    return end + 4, int(found[1]) if found else 0


def is_whole(message: bytes) -> bool:
    """Whether an answer has all arrived, by its length or by its last chunk."""
    head, length = head_and_length(message)
    if head == 0:
        return False
    if length == 0 and _CHUNKED.search(message, 0, head):
        return message.endswith(b"\r\n0\r\n\r\n")
    return len(message) >= head + length
