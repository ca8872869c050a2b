"""What makes two requests the same: method, path, content type and body.

Headers do not count: a client's retries differ in some.
"""

from collections.abc import Iterator
from hashlib import sha256

from django.http import HttpRequest

from agentflare.multipart import parse_form


def fingerprint(request: HttpRequest) -> str:
    """64 hex digits. The body can be read as before afterwards.

    Raises InvalidRequestError for a multipart body that cannot be read.
    """
    digest = sha256()
    for part in _parts(request):
        # With its length: no two lists of parts read the same.
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _parts(request: HttpRequest) -> Iterator[bytes]:
    yield (request.method or "").encode()
    yield request.get_full_path().encode()
    # First, since Django can't read it once it has read the fields.
    body = request.body
    content_type = request.META.get("CONTENT_TYPE", "").strip().lower()
    if content_type.startswith("multipart/form-data"):
        # A retry of the same form has another boundary.
        yield from _form(request)
    else:
        yield content_type.encode()
        yield body


def _form(request: HttpRequest) -> Iterator[bytes]:
    fields, files = parse_form(request)
    for name, values in sorted(fields):
        for value in values:
            yield from (b"field", name.encode(), str(value).encode("utf-8", "surrogatepass"))
    for name, uploads in sorted(files, key=lambda item: item[0]):
        for upload in uploads:
            yield from (b"file", name.encode(), (upload.name or "").encode())
            yield (upload.content_type or "").encode()
            yield upload.read()
            upload.seek(0)
