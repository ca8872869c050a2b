"""What the stand-in was asked and how each call ended, kept for tests to look at."""

import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

CALLS_KEPT = 2_000
BODY_BYTES_KEPT = 16_384
SECRET_HEADERS = {"authorization", "cf-aig-authorization", "cookie"}


class End(StrEnum):
    """How a call ended."""

    COMPLETED = "completed"
    REFUSED = "refused"
    CLIENT_GONE = "client_gone"
    FAULT = "fault"


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call. `started_at` and `ended_at` are Unix seconds.

    chunks_sent: frames with content of a stream, or pieces of a binary answer; tokens_sent:
        completion tokens in what was sent; audio_s: how long the sound in the call was, as billed;
        neurons: as reported to the caller; form: of a form, its fields, and its files' sizes;
        cache: what AI Gateway's cache had ("HIT", "MISS").
    """

    seq: int
    account: str
    method: str
    path: str
    headers: dict[str, str]
    started_at: float
    model: str | None = None
    request_id: str | None = None
    raw_body: bytes = b""
    body_bytes: int = 0
    status: int | None = None
    ended: End | None = None
    ended_at: float | None = None
    chunks_sent: int = 0
    tokens_sent: int = 0
    reject_if_busy: bool = False
    audio_s: str | None = None
    neurons: str | None = None
    form: dict[str, Any] | None = None
    cache: str | None = None

    def keep_body(self, raw: bytes) -> None:
        self.body_bytes = len(raw)
        self.raw_body = raw[:BODY_BYTES_KEPT]

    def end(self, how: End) -> None:
        """The first end counts: a fault stays a fault when the client then leaves."""
        if self.ended is None:
            self.ended = how
            self.ended_at = time.time()

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "account": self.account,
            "method": self.method,
            "path": self.path,
            "model": self.model,
            "request_id": self.request_id,
            "headers": self.headers,
            "body": self._body(),
            "body_bytes": self.body_bytes,
            "status": self.status,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "ended": self.ended,
            "chunks_sent": self.chunks_sent,
            "tokens_sent": self.tokens_sent,
            "reject_if_busy": self.reject_if_busy,
            "audio_s": self.audio_s,
            "neurons": self.neurons,
            "form": self.form,
            "gateway": self.gateway_headers(),
            "cache": self.cache,
        }

    def gateway_headers(self) -> dict[str, str]:
        """What the call told AI Gateway."""
        return {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower().startswith("cf-aig-")
        }

    def _body(self) -> Any:
        """The JSON sent, or its text where it is not JSON or was too long to keep whole."""
        if self.body_bytes == len(self.raw_body):
            try:
                return orjson.loads(self.raw_body)
            except orjson.JSONDecodeError:
                pass
        return self.raw_body.decode("utf-8", "replace")


@dataclass
class Journal:
    """The newest calls, oldest first."""

    _calls: deque[CallRecord] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def open(self, *, account: str, method: str, path: str, headers: dict[str, str]) -> CallRecord:
        record = CallRecord(
            seq=next(self._numbers),
            account=account,
            method=method,
            path=path,
            headers={
                name: "[redacted]" if name.lower() in SECRET_HEADERS else value
                for name, value in headers.items()
            },
            started_at=time.time(),
        )
        self._calls.append(record)
        return record

    def calls(self, *, since: int = 0, match: str = "") -> list[CallRecord]:
        """Calls numbered above `since` whose body contains `match`, as it was sent."""
        wanted = match.encode()
        return [call for call in self._calls if call.seq > since and wanted in call.raw_body]

    def clear(self) -> None:
        """Forget the calls; numbers go on, so that `since` stays meaningful."""
        self._calls.clear()
