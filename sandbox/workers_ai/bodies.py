"""What a call brings: JSON, a form, or bytes as they are. And the directive in it."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.workers_ai.errors import BadInputError, MissingHeaderOrBodyError, NotServedYetError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.script import Directive, find_directive

DIRECTIVE_OPENING = b"[[sandbox "
# A directive in bytes has to end within this.
DIRECTIVE_MAX_BYTES = 65_536

BINARY_TYPES = ("audio/", "video/", "image/", "application/octet-stream")


@dataclass(frozen=True, kw_only=True)
class Body:
    """fields: of the JSON object or the form. content: the bytes, when they are no fields."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    content: bytes = b""
    content_type: str = ""
    is_form: bool = False

    @property
    def is_raw(self) -> bool:
        return bool(self.content)

    def directive(self) -> Directive:
        """The first directive in any text, or in the bytes. Raises DirectiveError."""
        texts = directive_texts([self.fields, *self.files.values(), self.content])
        return find_directive(next(texts, ""))


def directive_texts(value: Any) -> Iterator[str]:
    """The texts within `value` that hold a directive."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str):
        if "[[sandbox " in value:
            yield value
        elif decoded := base64_bytes(value):
            yield from directive_texts(decoded)
    elif isinstance(value, bytes):
        if (start := value.find(DIRECTIVE_OPENING)) >= 0:
            found = value[start : start + DIRECTIVE_MAX_BYTES]
            end = found.rfind(b"]]")
            yield found[: end + 2].decode("utf-8", "replace")
    elif isinstance(value, list):
        if value and isinstance(value[0], int):
            yield from directive_texts(as_bytes(value))
        else:
            for item in value:
                yield from directive_texts(item)


def as_bytes(values: list[Any]) -> bytes:
    try:
        return bytes(values)
    except (TypeError, ValueError):
        return b""


def base64_bytes(text: str) -> bytes:
    """The bytes, of a text long enough to hold a directive; none if it is no base64."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    # A look at its beginning, so that a long text is not decoded in vain.
    if not re.match(r"[A-Za-z0-9+/]{24}", text):
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


async def read_body(exchange: Exchange) -> Body:
    """The body in whatever form it came.

    Raises MissingHeaderOrBodyError for none, BadInputError for JSON that is broken.
    """
    raw = await exchange.request.read()
    exchange.record.keep_body(raw)
    if not raw:
        raise MissingHeaderOrBodyError("Missing request body")
    content_type = exchange.request.headers.get("Content-Type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        body = form_body(raw, content_type)
        sizes = {name: len(content) for name, content in body.files.items()}
        exchange.record.form = {**body.fields, **sizes}
        return body
    # curl names a form when it sends a file's bytes: their first character decides.
    looks_like_json = raw.lstrip()[:1] == b"{"
    if kind.startswith(BINARY_TYPES) or (kind != "application/json" and not looks_like_json):
        return Body(content=raw, content_type=kind)
    fields = await exchange.json_body()
    if "requests" in fields or fields.keys() == {"request_id"}:
        raise NotServedYetError("the sandbox does not serve batch requests yet")
    return Body(fields=fields, content_type=kind)


def form_body(raw: bytes, content_type: str) -> Body:
    """Fields as text, files as bytes. Raises BadInputError for a broken form."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        raise BadInputError("the form has no boundary")
    border = b"--" + found[1].encode()
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    # The first piece is what comes before the form, the last what comes after it.
    pieces = raw.split(border)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise BadInputError("the form has no end")
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        if name is None:
            raise BadInputError("a part of the form has no name")
        if re.search(rb"\bfilename\*?=", head):
            files[name[1].decode("utf-8", "replace")] = content
        else:
            fields[name[1].decode("utf-8", "replace")] = content.decode("utf-8", "replace")
    return Body(fields=fields, files=files, content_type="multipart/form-data", is_form=True)
