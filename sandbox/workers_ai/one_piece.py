"""One call of a kind that is answered in one piece: everything but chat."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from sandbox.workers_ai.binary import binary_response
from sandbox.workers_ai.bodies import Body
from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.errors import DirectiveError
from sandbox.workers_ai.exchange import (
    SCRIPTED_FINGERPRINT,
    Exchange,
    Used,
    decimal_text,
    enveloped,
)
from sandbox.workers_ai.faults import play_faults, send_truncated
from sandbox.workers_ai.script import ABSENT, Directive
from sandbox.workers_ai.tokens import Vocabulary, count_texts

# Says who answered, also where the answer itself has no place for it.
SOURCE_HEADER: Final = "x-sandbox-source"
RULES_FINGERPRINT: Final = "sandbox-rules"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a module of a kind needs to answer."""

    exchange: Exchange
    model: Model
    body: Body
    directive: Directive

    @property
    def is_scripted_only(self) -> bool:
        return self.exchange.services.settings.scripted_only

    async def vocabulary(self) -> Vocabulary:
        return await self.exchange.services.vocabularies.of_model(self.model.id)

    async def count_tokens(self, texts: list[str]) -> int:
        return await count_texts(await self.vocabulary(), texts)

    def input_tokens(self, counted: int, *, key: str = "prompt_tokens") -> int:
        """The tokens to report: a directive's, or those counted."""
        given = self.directive.usage.get(key, counted)
        return given if isinstance(given, int) else 0

    def neurons(self, quantities: dict[str, Decimal | int]) -> Decimal | None:
        """Neurons of the call, exactly; None where the model has no price."""
        return self._told(self.model.cost(quantities), quantities)

    def _told(self, cost: Decimal | None, quantities: dict[str, Decimal | int]) -> Decimal | None:
        """A directive's neurons, or those that it cost; billed is what was told, or not at all."""
        usage = self.directive.usage
        told = cost
        if "neurons" in usage:
            told = None if usage["neurons"] is None else Decimal(str(usage["neurons"]))
        self.exchange.made = Used(
            tokens_in=int(quantities.get("input_tokens", 0)),
            tokens_out=int(quantities.get("output_tokens", 0)),
            neurons=cost if told is None else told,
        )
        return told

    def audio_neurons(self, duration_s: Decimal) -> Decimal | None:
        """Neurons of sound, priced by the minute and charged by its length as it is."""
        # Divided last: a minute has no exact sixtieths in decimals.
        cost = self.model.cost({"audio_minute": duration_s})
        return self._told(None if cost is None else cost / 60, {})

    def used(self) -> Used:
        """What Cloudflare's books say, also where the answer tells nothing."""
        billed = self.directive.billed
        used = self.exchange.made or Used()
        neurons = Decimal(str(billed["neurons"])) if "neurons" in billed else used.neurons
        return Used(
            tokens_in=billed.get("prompt_tokens", used.tokens_in),
            tokens_out=billed.get("completion_tokens", used.tokens_out),
            neurons=neurons,
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An answer: `result` for JSON, or `content` with its type.

    neurons: None where the real model sends none, or has no price.
    audio_s: of sound that came or went, for the journal.
    is_final: a directive's JSON is in it already.
    """

    source: str
    result: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    neurons: Decimal | None = None
    audio_s: Decimal | None = None
    is_final: bool = False
    is_enveloped: bool = True


Handler = Callable[[Call], Awaitable[Outcome]]


async def answer_in_one_piece(
    exchange: Exchange, model: Model, body: Body, handler: Handler
) -> web.StreamResponse:
    """Play the directive's faults, have the kind's module answer, and send that."""
    directive = exchange.armed(body.directive(), model)
    if key := directive.chat_only_key:
        raise DirectiveError(f"{key} means nothing to this kind of model")
    if (response := await play_faults(exchange, directive)) is not None:
        return response
    call = Call(exchange=exchange, model=model, body=body, directive=directive)
    outcome = await handler(call)
    exchange.used = call.used
    return await send(exchange, overridden(outcome, directive), directive)


def overridden(outcome: Outcome, directive: Directive) -> Outcome:
    """The outcome with what the directive says instead; JSON in place of bytes if it says so."""
    if directive.json is not ABSENT and not outcome.is_final:
        outcome = replace(outcome, result=directive.json, content=None, source=SCRIPTED_FINGERPRINT)
    elif isinstance(outcome.result, dict):
        label = {"system_fingerprint": outcome.source}
        outcome = replace(outcome, result={**outcome.result, **label})
    return replace(outcome, neurons=None) if directive.no_usage else outcome


async def send(exchange: Exchange, outcome: Outcome, directive: Directive) -> web.StreamResponse:
    if outcome.audio_s is not None:
        exchange.record.audio_s = decimal_text(outcome.audio_s)
    if outcome.content is not None:
        return await binary_response(
            exchange,
            outcome.content,
            content_type=outcome.content_type,
            headers=headers_of(exchange, outcome),
            directive=directive,
        )
    if key := directive.stream_only_key:
        raise DirectiveError(f"{key} needs an answer in pieces")
    is_enveloped = outcome.is_enveloped and not directive.no_envelope
    body = enveloped(outcome.result) if is_enveloped else outcome.result
    response = exchange.json_response(body, neurons=outcome.neurons)
    response.headers[SOURCE_HEADER] = outcome.source
    if directive.truncated_json or directive.cut_after is not None:
        is_cut = directive.cut_after is not None
        return await send_truncated(exchange, response, cut_connection=is_cut)
    return response


def headers_of(exchange: Exchange, outcome: Outcome) -> dict[str, str]:
    headers = {**exchange.headers(), SOURCE_HEADER: outcome.source}
    if outcome.neurons is not None:
        headers["cf-ai-neurons"] = exchange.record.neurons = decimal_text(outcome.neurons)
    return headers
