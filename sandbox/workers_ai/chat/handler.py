"""One chat call from body to answer."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.chat.answers import (
    Answer,
    GeneratedAnswer,
    Part,
    PartKind,
    PreparedAnswer,
    content_parts,
    finished,
    reasoning_parts,
    stopped,
    tool_call_parts,
    word_parts,
)
from sandbox.workers_ai.chat.inputs import ChatCall, Surface, parse_chat_call
from sandbox.workers_ai.chat.moderation import RULES_FINGERPRINT, verdict
from sandbox.workers_ai.chat.native import Totals, native_frames, native_result
from sandbox.workers_ai.chat.openai import OpenAIForm
from sandbox.workers_ai.chat.prompt import count_prompt_tokens
from sandbox.workers_ai.chat.tool_use import choose_tool, plain_call, write_call
from sandbox.workers_ai.chat.words import MentionedValues, told_keys, wanted_schema
from sandbox.workers_ai.errors import (
    ContextWindowError,
    DirectiveError,
    ForcedToolCallError,
    LicenceError,
)
from sandbox.workers_ai.exchange import (
    REAL_TEXT_FINGERPRINT,
    Exchange,
    Services,
    Used,
    enveloped,
)
from sandbox.workers_ai.faults import play_faults, send_truncated
from sandbox.workers_ai.schemas import minimal_instance
from sandbox.workers_ai.script import ABSENT, Directive, find_directive
from sandbox.workers_ai.streams import Frame, send_stream
from sandbox.workers_ai.tokens import Vocabulary
from sandbox.workers_ai.usage import Usage


async def answer_chat(
    exchange: Exchange, model: Model, body: dict[str, Any], surface: Surface
) -> web.StreamResponse:
    """Answer one chat call in the form its model and its entrance use."""
    check_licence(exchange, model, body)
    directive = exchange.armed(directive_of(body), model)
    if (response := await play_faults(exchange, directive)) is not None:
        return response

    call = parse_chat_call(model, body, surface)
    vocabulary = await exchange.services.vocabularies.of_model(model.id)
    prompt_tokens = await count_prompt_tokens(call, vocabulary)
    max_tokens = output_room(call, prompt_tokens)
    answer = await open_answer(
        exchange.services, call, directive, vocabulary, max_tokens=max_tokens
    )

    def totals(completion_tokens: int) -> Usage:
        return Usage.of(
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            directive=directive,
        )

    made = exchange.record

    def used() -> Used:
        """Of a stream, what was sent until somebody broke it off."""
        return Usage.billed(
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=made.tokens_sent,
            directive=directive,
        )

    if call.stream and not directive.plain_json_to_stream:
        exchange.used = used
        return await stream_answer(exchange, call, answer, totals, prompt_tokens, directive)
    return await send_json(exchange, call, answer, totals, directive, used)


def check_licence(exchange: Exchange, model: Model, body: dict[str, Any]) -> None:
    """Some models want `{"prompt": "agree"}` once per account; even that is answered with 403."""
    services = exchange.services
    if not model.needs_licence or not services.settings.require_licences:
        return
    key = (exchange.account, model.id)
    if body.get("prompt") == "agree":
        services.licences.add(key)
        raise LicenceError("Thank you for agreeing to this model's terms. You may now use it.")
    if key not in services.licences:
        raise LicenceError(
            "Model Agreement: prior to using this model, you must submit the prompt 'agree'."
        )


def directive_of(body: dict[str, Any]) -> Directive:
    """The directive in the newest user message, found before the body is known to be valid."""
    if isinstance(prompt := body.get("prompt"), str):
        return find_directive(prompt)
    given = body.get("messages")
    messages = [m for m in given if isinstance(m, dict)] if isinstance(given, list) else []
    users = [message for message in messages if message.get("role") == "user"]
    if not users:
        return Directive()
    directive = find_directive(plain_text(users[-1].get("content")))
    if messages[-1].get("role") == "tool" and directive.after_tools is not None:
        return directive.after_tools
    return directive


def plain_text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def output_room(call: ChatCall, prompt_tokens: int) -> int:
    """The output cap of the call. Raises ContextWindowError if prompt and cap don't fit."""
    window = call.model.context_window
    if window is None:
        return call.max_tokens or 1_000_000
    wanted = call.max_tokens if call.max_tokens is not None else 1
    if prompt_tokens + wanted > window:
        raise ContextWindowError(tokens=prompt_tokens + wanted, context_window=window)
    return call.max_tokens or window - prompt_tokens


async def open_answer(
    services: Services,
    call: ChatCall,
    directive: Directive,
    vocabulary: Vocabulary,
    *,
    max_tokens: int,
) -> Answer:
    """Scripted where a directive gives the answer or nothing else may; otherwise real text."""
    is_scripted = directive.has_answer or (
        services.settings.scripted_only and call.model.kind == "chat"
    )
    if is_scripted:
        if not directive.has_answer:
            directive = default_script(call, directive)
        parts = await scripted_parts(call, directive, vocabulary)
        check_forced_call(call, parts, max_tokens)
        return PreparedAnswer(finished(parts, max_tokens=max_tokens))
    if call.model.kind == "moderation":
        parts = await content_parts(vocabulary, verdict(call))
        return PreparedAnswer(finished(parts, max_tokens=max_tokens), RULES_FINGERPRINT)
    if tool := choose_tool(call):
        written = await write_call(services.local_model, call, tool)
        parts = await tool_call_parts(vocabulary, (written,))
        check_forced_call(call, parts, max_tokens)
        return PreparedAnswer(finished(parts, max_tokens=max_tokens), REAL_TEXT_FINGERPRINT)
    call = replace(call, json_schema=wanted_schema(call))
    return GeneratedAnswer(services.local_model, call, max_tokens=max_tokens)


def default_script(call: ChatCall, directive: Directive) -> Directive:
    """Without real text: a tool call, a plain fit of the schema, or the message itself."""
    if not call.is_after_tools and (tool := choose_tool(call)) is not None:
        return Directive(tool_calls=(plain_call(call, tool),))
    if (schema := wanted_schema(call)) is not None:
        values = MentionedValues(call.newest_user_text, keys=told_keys(call))
        return Directive(json=minimal_instance(schema, values=values))
    return Directive(text=directive.rest)


async def scripted_parts(
    call: ChatCall, directive: Directive, vocabulary: Vocabulary
) -> list[Part]:
    """Reasoning, text and tool calls in this order. Native models think inside their text."""
    text = directive.rest if directive.echo else directive.text or ""
    if directive.json is not ABSENT:
        text = orjson.dumps(directive.json).decode()
    parts: list[Part] = []
    if directive.reasoning and call.model.native:
        text = f"<think>\n{directive.reasoning}\n</think>\n\n{text}"
    elif directive.reasoning:
        parts += await reasoning_parts(vocabulary, directive.reasoning)
    if directive.tokens is not None:
        parts += word_parts(directive.tokens)
    else:
        parts += await content_parts(vocabulary, text)
    parts = stopped(parts, call.stop)
    return parts + await tool_call_parts(vocabulary, directive.tool_calls)


def check_forced_call(call: ChatCall, parts: list[Part], max_tokens: int) -> None:
    """A forced call that the cap would cut is refused; any other is cut."""
    has_calls = any(part.kind is PartKind.TOOL_NAME for part in parts)
    is_forced = call.forced_tool is not None and has_calls
    if is_forced and sum(part.tokens for part in parts) > max_tokens:
        raise ForcedToolCallError


async def send_json(
    exchange: Exchange,
    call: ChatCall,
    answer: Answer,
    totals: Totals,
    directive: Directive,
    used: Callable[[], Used],
) -> web.StreamResponse:
    if key := directive.stream_only_key:
        raise DirectiveError(f"{key} needs a streamed answer")
    choices = [await collected(answer.parts(i)) for i in range(call.choices)]
    usage = totals(sum(part.tokens for parts in choices for part in parts))
    exchange.record.tokens_sent = usage.completion_tokens
    exchange.used = used
    body: dict[str, Any]
    if call.model.native and call.surface is Surface.RUN:
        body = enveloped(native_result(call, choices[0], usage, answer.fingerprint, directive))
    else:
        body = OpenAIForm(call, answer, directive).completion(choices, usage)
        body = body if call.surface is Surface.V1 else enveloped(body)
    neurons = None if directive.no_usage else usage.neurons
    response = exchange.json_response(body, neurons=neurons)
    if directive.truncated_json or directive.cut_after is not None:
        cut = directive.cut_after is not None
        return await send_truncated(exchange, response, cut_connection=cut)
    return response


async def stream_answer(
    exchange: Exchange,
    call: ChatCall,
    answer: Answer,
    totals: Totals,
    prompt_tokens: int,
    directive: Directive,
) -> web.StreamResponse:
    frames: AsyncGenerator[Frame, None]
    if call.model.native and call.surface is Surface.RUN:
        frames = native_frames(answer, totals, directive)
        error_frame: dict[str, Any] = {
            "errors": [{"message": "AiError: AiError: Internal server error", "code": 3043}],
            "success": False,
            "result": {},
            "messages": [],
        }
    else:
        frames = OpenAIForm(call, answer, directive).frames(prompt_tokens, totals)
        error_frame = {
            "object": "error",
            "message": "Internal server error",
            "type": "InternalServerError",
            "param": None,
            "code": 500,
        }
    return await send_stream(exchange, frames, directive=directive, error_frame=error_frame)


async def collected(parts: AsyncGenerator[Part, None]) -> list[Part]:
    async with aclosing(parts):
        return [part async for part in parts]
