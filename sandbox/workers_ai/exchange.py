"""One call in the making: the request, what it may use, and how its answer is sent."""

import secrets
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from sandbox.workers_ai.catalogue import Catalogue
from sandbox.workers_ai.errors import (
    BadInputError,
    InferenceError,
    MissingHeaderOrBodyError,
    StandInError,
)
from sandbox.workers_ai.journal import CallRecord, Journal
from sandbox.workers_ai.local_model import LocalModel
from sandbox.workers_ai.script import FailureCounts
from sandbox.workers_ai.settings import Settings
from sandbox.workers_ai.tokens import Vocabularies

REAL_TEXT_FINGERPRINT = "sandbox-smollm2-135m"
SCRIPTED_FINGERPRINT = "sandbox-scripted"


@dataclass(frozen=True, kw_only=True)
class Services:
    """What every call may use; one of each per process."""

    settings: Settings
    catalogue: Catalogue
    local_model: LocalModel
    vocabularies: Vocabularies = field(default_factory=Vocabularies)
    journal: Journal = field(default_factory=Journal)
    failures: FailureCounts = field(default_factory=FailureCounts)
    licences: set[tuple[str, str]] = field(default_factory=set)


@dataclass(kw_only=True)
class Exchange:
    """One call.

    reached_model: its answer carries `cf-ai-req-id`, as every answer of a model does.
    """

    services: Services
    request: web.Request
    record: CallRecord
    account: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    reached_model: bool = False

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
        return body

    def headers(self) -> dict[str, str]:
        headers = {}
        if self.reached_model:
            headers["cf-ai-req-id"] = self.record.request_id = self.request_id
            if "cf-aig-gateway-id" in self.request.headers:
                headers["cf-aig-log-id"] = secrets.token_hex(13).upper()
                headers["cf-aig-step"] = "0"
        return headers

    def json_response(
        self, body: Any, *, status: int = 200, neurons: Decimal | None = None
    ) -> web.Response:
        headers = self.headers()
        if neurons is not None:
            headers["cf-ai-neurons"] = decimal_text(neurons)
        self.record.status = status
        return web.Response(
            body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
        )

    def error_response(self, error: StandInError) -> web.Response:
        if isinstance(error, InferenceError):
            self.reached_model = True
        return self.json_response(error.body(self.request_id), status=error.status)


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
