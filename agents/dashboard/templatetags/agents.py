"""How turns are shown."""

import orjson
from django import template

from agents.turns.models import Turn

register = template.Library()
_TONES = {
    Turn.Status.COMPLETED: "tag-good",
    Turn.Status.FAILED: "tag-bad",
    Turn.Status.INTERRUPTED: "tag-bad",
}


@register.filter
def turn_tone(turn: Turn) -> str:
    return _TONES.get(Turn.Status(turn.status), "tag-warn")


@register.filter
def turn_error(turn: Turn) -> str:
    """What its client was told."""
    return str(orjson.loads(turn.error)["message"]) if turn.error else ""
