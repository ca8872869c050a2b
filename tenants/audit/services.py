"""Writing the audit trail."""

from dataclasses import dataclass
from typing import Any

from tenants.audit.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from where. `name` as AuditEvent has it.

    user_id: of a person; None: a program, a command.
    """

    name: str
    ip: str | None = None
    user_id: int | None = None


def record(*, actor: str | Actor, action: str, subject: str = "", **detail: Any) -> AuditEvent:
    """Note a change. Call it inside the transaction that makes the change."""
    who = actor if isinstance(actor, Actor) else Actor(actor)
    return AuditEvent.objects.create(
        actor=who.name, ip=who.ip, action=action, subject=subject, detail=detail
    )
