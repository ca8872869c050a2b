"""From Anthropic's messages to OpenAI's, which all our AI models speak in one form or another."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any

from inference.messages.content import (
    Block,
    DocumentBlock,
    ImageBlock,
    Message,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)

ChatMessage = dict[str, Any]
Part = dict[str, Any]
Content = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock


def chat_messages(
    messages: list[Message], *, system: str | list[TextBlock] | None
) -> Iterator[ChatMessage]:
    """Checked messages as OpenAI has them: a system message first, roles in turn.

    Consecutive messages of one role become one, as at Anthropic's. System messages further
    down join the first: chat templates take one, and at the start.
    """
    if instructions := _instructions(messages, system):
        yield {"role": "system", "content": instructions}
    turns = (message for message in messages if message.role != "system")
    for role, group in groupby(turns, key=lambda message: message.role):
        blocks = list(chain.from_iterable(message.blocks() for message in group))
        if role == "assistant":
            yield _assistant_message(blocks)
        else:
            yield from _user_messages(blocks)


def _instructions(messages: list[Message], system: str | list[TextBlock] | None) -> str:
    texts = [system] if isinstance(system, str) else [block.text for block in system or []]
    for message in messages:
        if message.role == "system":
            texts.append(_text(message.blocks()))
    return "\n\n".join(text for text in texts if text)


def _assistant_message(blocks: list[Block]) -> ChatMessage:
    message: ChatMessage = {"role": "assistant", "content": _text(blocks)}
    thoughts = [b.thinking for b in blocks if isinstance(b, ThinkingBlock) and b.thinking]
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls := [_tool_call(block) for block in blocks if isinstance(block, ToolUseBlock)]:
        message["tool_calls"] = calls
    return message


def _tool_call(block: ToolUseBlock) -> dict[str, Any]:
    # Not orjson: it refuses integers of more than 64 bits.
    arguments = json.dumps(block.input, ensure_ascii=False, separators=(",", ":"))
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }


def _user_messages(blocks: list[Block]) -> Iterator[ChatMessage]:
    """Results of tools first: they must follow the calls, whatever else the client says.

    A `tool` message is text alone, so images of a result go to the user's message after it.
    """
    said: list[Part] = []
    for block in blocks:
        if isinstance(block, ToolResultBlock):
            parts = _parts(block.inner())
            yield _tool_message(block, parts)
            if images := [part for part in parts if part["type"] == "image_url"]:
                said += [_text_part(f"Images in the result of {block.tool_use_id}:"), *images]
    said += _parts(block for block in blocks if isinstance(block, Content))
    has_results = any(isinstance(block, ToolResultBlock) for block in blocks)
    if said or not has_results:
        yield {"role": "user", "content": _joined(said)}


def _tool_message(block: ToolResultBlock, parts: list[Part]) -> ChatMessage:
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    if block.is_error:
        # OpenAI's form has no field for it.
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}


def _joined(parts: list[Part]) -> str | list[Part]:
    """One string where there is text alone, which every model takes."""
    if any(part["type"] != "text" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)


def _parts(blocks: Iterable[Content]) -> list[Part]:
    parts: list[Part] = []
    for block in blocks:
        match block:
            case TextBlock():
                parts.append(_text_part(block.text))
            case ImageBlock():
                parts.append({"type": "image_url", "image_url": {"url": block.url}})
            case DocumentBlock():
                about = {"title": block.title, "context": block.context}
                parts += _marked("document", about, _parts(block.inner()))
            case SearchResultBlock():
                about = {"title": block.title, "source": block.source}
                parts += _marked("search_result", about, _parts(block.content))
    return parts


def _marked(name: str, about: dict[str, str | None], parts: list[Part]) -> list[Part]:
    """Between marks as Anthropic recommends them for long prompts, with what is known of it."""
    known = [f"<{key}>{value}</{key}>" for key, value in about.items() if value]
    return [_text_part("\n".join([f"<{name}>", *known])), *parts, _text_part(f"</{name}>")]


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _text(blocks: Iterable[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, TextBlock))
