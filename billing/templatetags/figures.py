"""Counts and durations in templates."""

from datetime import UTC, datetime

from django import template

register = template.Library()


@register.filter
def whole(count: int) -> str:
    """1234567 is 1,234,567."""
    return f"{count:,}"


@register.filter
def moment(seconds: float) -> datetime:
    """Since 1970, as a moment (UTC)."""
    return datetime.fromtimestamp(seconds, tz=UTC)


@register.filter
def duration(milliseconds: int) -> str:
    """480 ms, 1.24 s, 2 min 5 s."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f} s"
    minutes, rest = divmod(milliseconds // 1000, 60)
    return f"{minutes} min {rest} s"
