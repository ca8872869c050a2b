"""/v1/chat/completions and /v1/completions."""

from typing import Any

from aiohttp import web

from sandbox.workers_ai.chat.answers import Answer
from sandbox.workers_ai.chat.handler import collected, directive_of, open_answer, output_room
from sandbox.workers_ai.chat.inputs import ChatCall, Surface, parse_chat_call
from sandbox.workers_ai.chat.prompt import count_prompt_tokens
from sandbox.workers_ai.errors import BadInputError, DirectiveError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.faults import play_faults, send_truncated
from sandbox.workers_ai.openai_server.form import CompletionForm
from sandbox.workers_ai.openai_server.models import any_model
from sandbox.workers_ai.streams import send_stream
from sandbox.workers_ai.usage import Usage

# Of a text completion that names no cap.
DEFAULT_TEXT_TOKENS = 16

ERROR_FRAME = {
    "error": {
        "message": "Internal server error",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


async def complete_chat(exchange: Exchange, body: dict[str, Any]) -> web.StreamResponse:
    return await complete(exchange, body, [body], is_text=False)


async def complete_text(exchange: Exchange, body: dict[str, Any]) -> web.StreamResponse:
    """`prompt`: a text, or several, each completed on its own."""
    prompt = body.get("prompt")
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list) or not prompts:
        raise BadInputError("prompt must be a string or a list of strings")
    if not all(isinstance(text, str) for text in prompts):
        raise BadInputError("prompts of token ids are not served by the sandbox")
    cap = body.get("max_tokens")
    common = {**body, "max_tokens": DEFAULT_TEXT_TOKENS if cap is None else cap, "raw": True}
    bodies = [{**common, "prompt": text} for text in prompts]
    return await complete(exchange, body, bodies, is_text=True)


async def complete(
    exchange: Exchange, body: dict[str, Any], bodies: list[dict[str, Any]], *, is_text: bool
) -> web.StreamResponse:
    """bodies: one for each prompt; the first one's directive counts."""
    model = any_model(body["model"])
    directive = exchange.armed(directive_of(bodies[0]), model)
    if (response := await play_faults(exchange, directive)) is not None:
        return response
    surface = Surface.RUN if is_text else Surface.V1
    calls = [parse_chat_call(model, one, surface) for one in bodies]
    vocabulary = await exchange.services.vocabularies.of_model(model.id)
    prompt_tokens = 0
    answers: list[Answer] = []
    for call, one in zip(calls, bodies, strict=True):
        counted = await count_prompt_tokens(call, vocabulary)
        prompt_tokens += counted
        own = directive if call is calls[0] else exchange.armed(directive_of(one), model)
        room = output_room(call, counted)
        answers.append(await open_answer(exchange.services, call, own, vocabulary, max_tokens=room))

    def totals(completion_tokens: int) -> Usage:
        return Usage.of(
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            directive=directive,
        )

    first = calls[0]
    form = CompletionForm(
        model.id,
        is_text=is_text,
        fingerprint=answers[0].fingerprint,
        directive=directive,
        alternatives=first.alternatives,
    )
    if first.stream and not directive.plain_json_to_stream:
        frames = form.frames(answers, first.choices, totals, include_usage=wants_usage(first, body))
        return await send_stream(exchange, frames, directive=directive, error_frame=ERROR_FRAME)

    if key := directive.stream_only_key:
        raise DirectiveError(f"{key} needs a streamed answer")
    choices = [await collected(answer.parts(i)) for answer in answers for i in range(first.choices)]
    usage = totals(sum(part.tokens for parts in choices for part in parts))
    exchange.record.tokens_sent = usage.completion_tokens
    response = exchange.json_response(form.completion(choices, usage))
    if directive.truncated_json or directive.cut_after is not None:
        is_cut = directive.cut_after is not None
        return await send_truncated(exchange, response, cut_connection=is_cut)
    return response


def wants_usage(call: ChatCall, body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return call.stream and isinstance(options, dict) and options.get("include_usage") is True
