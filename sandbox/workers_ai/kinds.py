"""Which module answers for which kind of model. A new kind is a module and a line here."""

from typing import Any, Final

from aiohttp import web

from sandbox.workers_ai.audio.speech import speak
from sandbox.workers_ai.audio.transcription import transcribe
from sandbox.workers_ai.audio.turns import detect_turn
from sandbox.workers_ai.bodies import Body, read_body
from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.chat.handler import answer_chat
from sandbox.workers_ai.chat.inputs import Surface
from sandbox.workers_ai.errors import NotServedYetError
from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.images.classification import classify_image
from sandbox.workers_ai.images.description import describe_image
from sandbox.workers_ai.images.generation import generate_image
from sandbox.workers_ai.one_piece import Handler, answer_in_one_piece
from sandbox.workers_ai.text.classification import classify_text
from sandbox.workers_ai.text.decision import decide
from sandbox.workers_ai.text.embeddings import embed, embed_openai
from sandbox.workers_ai.text.rerank import rerank
from sandbox.workers_ai.text.translation import translate

# Answered in OpenAI's form too, and in streams.
CHAT_KINDS: Final = ("chat", "moderation")

HANDLERS: Final[dict[str, Handler]] = {
    "asr": transcribe,
    "decision": decide,
    "embeddings": embed,
    "image-classification": classify_image,
    "image-to-text": describe_image,
    "inpainting": generate_image,
    "rerank": rerank,
    "text-classification": classify_text,
    "text-to-image": generate_image,
    "translation": translate,
    "tts": speak,
    "turn-detection": detect_turn,
}


async def answer_run(exchange: Exchange, model: Model) -> web.StreamResponse:
    """A call on /ai/run/{model}: the body is whatever that kind of model takes."""
    if model.kind in CHAT_KINDS:
        return await answer_chat(exchange, model, await exchange.json_body(), Surface.RUN)
    handler = handler_of(model)
    return await answer_in_one_piece(exchange, model, await read_body(exchange), handler)


async def answer_fields(
    exchange: Exchange, model: Model, fields: dict[str, Any], surface: Surface
) -> web.StreamResponse:
    """A call whose fields have been read already: in the unified form, or OpenAI's chat."""
    if model.kind in CHAT_KINDS:
        return await answer_chat(exchange, model, fields, surface)
    if surface is Surface.V1:
        raise NotServedYetError(f"{model.id} is no chat model ({model.kind})")
    return await answer_in_one_piece(exchange, model, Body(fields=fields), handler_of(model))


async def answer_embeddings(
    exchange: Exchange, model: Model, fields: dict[str, Any]
) -> web.StreamResponse:
    """/ai/v1/embeddings"""
    if model.kind != "embeddings":
        raise NotServedYetError(f"{model.id} is no embedding model ({model.kind})")
    return await answer_in_one_piece(exchange, model, Body(fields=fields), embed_openai)


def handler_of(model: Model) -> Handler:
    handler = HANDLERS.get(model.kind)
    if handler is None:
        raise NotServedYetError(f"the sandbox does not serve this kind yet ({model.kind})")
    return handler
