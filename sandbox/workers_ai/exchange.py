"""One call in the making: the request, what it may use, and how its answer is sent."""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from sandbox.workers_ai.analytics.books import Books
from sandbox.workers_ai.analytics.gateway_logs import (
    STREAM_LAG_S,
    GatewayLogs,
    Row,
    read_metadata,
)
from sandbox.workers_ai.catalogue import Catalogue, Model
from sandbox.workers_ai.errors import (
    BadInputError,
    GatewayError,
    InferenceError,
    MissingHeaderOrBodyError,
    StandInError,
)
from sandbox.workers_ai.gateway_cache import GatewayCache
from sandbox.workers_ai.journal import CallRecord, Journal
from sandbox.workers_ai.local_model import LocalModel
from sandbox.workers_ai.models_list import ModelsList
from sandbox.workers_ai.script import Directive, FailureCounts
from sandbox.workers_ai.settings import Settings
from sandbox.workers_ai.small_models import SmallModels
from sandbox.workers_ai.tokens import Vocabularies

REAL_TEXT_FINGERPRINT = "sandbox-smollm2-135m"
SCRIPTED_FINGERPRINT = "sandbox-scripted"


@dataclass(frozen=True, kw_only=True)
class Services:
    """What every call may use; one of each per process."""

    settings: Settings
    catalogue: Catalogue
    local_model: LocalModel
    small_models: SmallModels
    vocabularies: Vocabularies = field(default_factory=Vocabularies)
    journal: Journal = field(default_factory=Journal)
    failures: FailureCounts = field(default_factory=FailureCounts)
    licences: set[tuple[str, str]] = field(default_factory=set)
    gateway_cache: GatewayCache = field(default_factory=GatewayCache)
    gateway_logs: GatewayLogs = field(default_factory=GatewayLogs)
    books: Books = field(default_factory=Books)
    models_list: ModelsList = field(default_factory=lambda: ModelsList([]))


@dataclass(frozen=True, kw_only=True)
class Used:
    """What Cloudflare's own books say that a call used, whatever its answer told."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    neurons: Decimal | None = None


@dataclass(kw_only=True)
class Exchange:
    """One call.

    reached_model: its answer carries `cf-ai-req-id`, as every answer of a model does.
    rejects_if_busy: the body's options say that it would rather be refused than wait.
    content_type: said of the answer instead of what it is, as a directive wants it.
    cache_status: "HIT" or "MISS" of AI Gateway's cache; None where it has no part.
    used: asked once the call has ended: what it is billed. None: nothing was made.
    made: what an answer in one piece has cost.
    """

    services: Services
    request: web.Request
    record: CallRecord
    account: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    reached_model: bool = False
    rejects_if_busy: bool = False
    content_type: str | None = None
    cache_status: str | None = None
    extra_headers: dict[str, str] = field(default_factory=dict)
    log_id: str = field(default_factory=lambda: secrets.token_hex(13).upper())
    used: Callable[[], Used] | None = None
    made: Used | None = None

    def armed(self, directive: Directive, model: Model) -> Directive:
        """The directive as it applies to this call."""
        armed = self.services.failures.armed(directive, account=self.account, model_id=model.id)
        self.content_type = armed.content_type
        return armed

    async def json_body(self) -> dict[str, Any]:
        raw = await self.request.read()
        self.record.keep_body(raw)
        if not raw:
            raise MissingHeaderOrBodyError("Missing request body")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BadInputError(f"the body is not valid JSON, {error}") from error
        if not isinstance(body, dict):
            raise BadInputError("Type mismatch of '/', 'object' not in 'array'")
        self.take_options(body)
        return body

    def take_options(self, body: dict[str, Any]) -> None:
        """Whether the caller waits for capacity. A wish of another type is no wish."""
        options = body.get("options")
        if isinstance(options, dict):
            wish = options.get("rejectIfBusy") is True
            self.rejects_if_busy = self.record.reject_if_busy = wish

    def headers(self) -> dict[str, str]:
        if not self.reached_model:
            return dict(self.extra_headers)
        self.record.request_id = self.request_id
        return {"cf-ai-req-id": self.request_id, **self.gateway_headers()}

    def gateway_headers(self) -> dict[str, str]:
        """What AI Gateway adds to the answer of a call that went through it."""
        sent = self.request.headers
        if "cf-aig-gateway-id" not in sent:
            return {}
        headers = {
            "cf-aig-log-id": self.log_id,
            "cf-aig-event-id": sent.get("cf-aig-event-id", secrets.token_hex(13).upper()),
            "cf-aig-step": "0",
        }
        if self.cache_status is not None:
            headers["cf-aig-cache-status"] = self.cache_status
        return headers

    def write_books(self) -> None:
        """The call has ended: what it used goes into the account's books and AI Gateway's log."""
        used = Used() if self.used is None else self.used()
        record, now = self.record, time.time()
        model = record.model or ""
        if used.neurons:
            self.services.books.bill(
                account=self.account, model=model, neurons=used.neurons, at=record.started_at
            )
        gateway = self.request.headers.get("cf-aig-gateway-id")
        if not gateway or record.status is None:
            return
        row = Row(
            account=self.account,
            gateway=gateway,
            id=self.log_id,
            model=model,
            created_at=record.started_at,
            visible_at=now + (STREAM_LAG_S if record.chunks_sent else 0),
            duration_ms=round((now - record.started_at) * 1000),
            status=record.status,
            is_cached=self.cache_status == "HIT",
            tokens_in=used.tokens_in,
            tokens_out=used.tokens_out,
            cached_tokens=used.cached_tokens,
            neurons=used.neurons or Decimal(0),
            metadata=read_metadata(self.request.headers.get("cf-aig-metadata", "")),
        )
        self.services.gateway_logs.keep(row)

    def json_response(
        self, body: Any, *, status: int = 200, neurons: Decimal | None = None
    ) -> web.Response:
        headers = self.headers()
        if neurons is not None:
            headers["cf-ai-neurons"] = self.record.neurons = decimal_text(neurons)
        self.record.status = status
        return web.Response(
            body=orjson.dumps(body),
            status=status,
            headers={**headers, "Content-Type": self.content_type or "application/json"},
        )

    def error_response(self, error: StandInError) -> web.Response:
        self.reached_model = isinstance(error, InferenceError)
        response = self.json_response(error.body(self.request_id), status=error.status)
        if isinstance(error, GatewayError):
            response.headers.update(self.gateway_headers())
        return response


def enveloped(result: Any) -> dict[str, Any]:
    """The envelope of a success."""
    return {"result": result, "success": True, "errors": [], "messages": []}


def decimal_text(value: Decimal) -> str:
    """All digits, no exponent, no needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def json_number(value: Decimal) -> orjson.Fragment:
    """A JSON number with every digit of `value`: a float would round it."""
    return orjson.Fragment(decimal_text(value))
