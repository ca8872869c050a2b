"""Single calls in templates."""

from collections.abc import Mapping
from uuid import UUID

from django import template

from billing.dashboard.words import STATUS
from billing.usage.models import Status

register = template.Library()


@register.filter
def request_id(number: UUID) -> str:
    """As answers tell it."""
    return f"req_{number.hex}"


@register.filter
def named(key_id: str, names: Mapping[str, str]) -> str:
    return names.get(key_id, key_id)


@register.filter
def status_word(status: str) -> str:
    return STATUS.get(Status(status), status)


@register.filter
def tone(status: str) -> str:
    """The class of a tag: good, not as it should be, bad."""
    if status == Status.COMPLETED:
        return "tag-good"
    return "tag-warn" if status in (Status.EMPTY, Status.CLIENT_GONE) else "tag-bad"
