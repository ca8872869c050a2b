"""Counting the calls that never began."""

from django.http import HttpRequest

from agentflare.errors import GatewayError
from agentflare.metrics import REFUSED
from billing.usage.refusals import note_refusal, refusal_now
from inference import progress
from tenants.keys.lookup import KeyRecord


def note_unless_admitted(request: HttpRequest, record: KeyRecord, error: GatewayError) -> None:
    """error: what the client is told. After its admission a call has a usage record that says
    how it ended."""
    made = request.id  # type: ignore[attr-defined]  # by RequestIdMiddleware
    asked = progress.of(made)
    if asked.is_admitted:
        return
    REFUSED.labels(error.code or error.type).inc()
    note_refusal(
        record.tenant_code,
        refusal_now(
            request_id=made.hex,
            key_id=record.key_id,
            endpoint=request.path.removeprefix("/v1/")[:80],
            ai_model=asked.model,
            status=error.status,
            code=error.code or error.type,
            message=error.message,
        ),
    )
