"""Writing the audit trail."""

from typing import Any

from tenants.audit.models import AuditEvent


def record(*, actor: str, action: str, subject: str = "", **detail: Any) -> AuditEvent:
    """Note a change. Call it inside the transaction that makes the change."""
    return AuditEvent.objects.create(actor=actor, action=action, subject=subject, detail=detail)
