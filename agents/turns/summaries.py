"""A rolling summary of what a conversation does not send any more.

Made at the end of a turn, when enough has fallen out of the history since the last one: a call of
a model like any other, held, captured and among the steps of the turn. Where it fails the summary
stays as it was, and is tried again after the next turn.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agents.conversations.models import Conversation, Item
from agents.conversations.selectors import within
from agents.turns.history import NO_RESULT

# So many items at once, and so much of their text: a summary must fit into any window.
_MOST_ITEMS, _MOST_CHARS = 200, 24_000
_LEAST_ITEMS = 8
MAX_TOKENS = 600
HEADING = "Summary of the earlier conversation:"
_TASK = (
    "You keep the summary of a conversation that goes on. Write it anew, in at most 300 words, "
    "from the summary so far and the messages that follow it. Keep names, numbers, decisions, "
    "wishes and open questions. Write the summary alone."
)


@dataclass(frozen=True, slots=True)
class Due:
    """until: the position up to which the new summary reaches."""

    messages: list[dict[str, Any]]
    until: int


def due(conversation_id: UUID, *, max_messages: int) -> Due | None:
    """What is to be summed up now, in the tenant's schema; None: not enough yet."""
    conversation = Conversation.objects.get(pk=conversation_id)
    items = Item.objects.filter(conversation=conversation_id, is_replaced=False)
    said = items.filter(type__in=("message", "function_call_output")).order_by("-position")
    first_sent = said.values_list("position", flat=True)[max_messages - 1 : max_messages].first()
    if first_sent is None:
        return None
    fallen = items.filter(position__gte=conversation.summary_until, position__lt=first_sent)
    rows, _ = within(fallen.order_by("position")[:_MOST_ITEMS])
    if len(rows) < max(_LEAST_ITEMS, max_messages // 4):
        return None
    lines: list[str] = []
    size = 0
    for row in rows:
        line = _line(row.content)[: _MOST_CHARS // 4]
        if size + len(line) > _MOST_CHARS:
            break
        lines.append(line)
        size += len(line)
    before = conversation.summary or "(There is none yet.)"
    text = f"Summary so far:\n{before}\n\nMessages after it:\n" + "\n".join(filter(None, lines))
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": text}]
    return Due(messages, rows[len(lines) - 1].position + 1)


def keep(conversation_id: UUID, summary: str, *, until: int) -> None:
    """In the tenant's schema. An older one does not take the place of a newer."""
    rows = Conversation.objects.filter(pk=conversation_id, summary_until__lt=until)
    rows.update(summary=summary.replace("\0", ""), summary_until=until)


def _line(item: dict[str, Any]) -> str:
    match item["type"]:
        case "message":
            texts = [part.get("text") or part.get("refusal") or "" for part in item["content"]]
            return f"{item['role']}: {' '.join(texts)}"
        case "function_call":
            return f"(calls {item['name']} with {item['arguments']})"
        case "function_call_output":
            output = item["output"]
            return f"(result: {output if isinstance(output, str) else NO_RESULT})"
    return ""
