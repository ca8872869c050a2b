"""One call upstream, before it is known which account makes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from urllib3.filepost import encode_multipart_formdata


@dataclass(frozen=True, slots=True)
class JsonRequest:
    """A JSON body. `operation` is the path below an OpenAI-compatible server's address."""

    body: Mapping[str, Any]
    operation: str = "chat/completions"
    query: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, **extra: Any) -> tuple[bytes, str]:
        """Body and content type. Integers beyond 64 bits, as schemas may hold, go as well."""
        return dump_json({**self.body, **extra} if extra else self.body), "application/json"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """Bytes as they are: audio, an image."""

    content: bytes
    content_type: str
    query: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, **extra: Any) -> tuple[bytes, str]:
        """There is no place for options here."""
        return self.content, self.content_type


@dataclass(frozen=True, slots=True)
class FormRequest:
    """multipart/form-data. files: name → (file name, content, media type)."""

    fields: Mapping[str, str]
    files: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, **extra: Any) -> tuple[bytes, str]:
        """There is no place for options here."""
        return encode_multipart_formdata({**self.fields, **self.files})


UpstreamRequest = JsonRequest | RawRequest | FormRequest


def dump_json(body: Mapping[str, Any]) -> bytes:
    """A client's schema may hold integers of any size; orjson takes 64 bits."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()
