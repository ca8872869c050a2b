"""The models that hear, and what each of them takes."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentflare.errors import InvalidRequestError, NotFoundError, UnsupportedParamError
from inference.audio.transcripts.files import Sound
from inference.catalog.selectors import Offer
from inference.upstreams.requests import JsonRequest, RawRequest, UpstreamRequest

TRANSCRIBE, TRANSLATE = "transcribe", "translate"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done with a sound, whichever model does it.

    language: a code, or empty: to be found. server_vad: silence is to be left out.
    """

    task: str = TRANSCRIBE
    language: str = ""
    prompt: str = ""
    server_vad: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """request: from the sound and the wish to the model's own form.

    only: the one language that the model knows.
    """

    request: Callable[[Sound, Wish], UpstreamRequest]
    only: str = ""
    translates: bool = False
    vad: bool = False


def _bytes(sound: Sound, wish: Wish) -> UpstreamRequest:
    return RawRequest(sound.content, sound.media_type)


def _base64(sound: Sound, wish: Wish) -> UpstreamRequest:
    body: dict[str, Any] = {"audio": b64encode(sound.content).decode(), "task": wish.task}
    if wish.language:
        body["language"] = wish.language
    if wish.prompt:
        body["initial_prompt"] = wish.prompt
    if wish.server_vad:
        body["vad_filter"] = True
    return JsonRequest(body)


def _deepgram(sound: Sound, wish: Wish) -> UpstreamRequest:
    """Punctuation is not its habit, and is what every other model here gives."""
    query = {"punctuate": "true", "smart_format": "true"}
    query |= {"language": wish.language} if wish.language else {"detect_language": "true"}
    return RawRequest(sound.content, sound.media_type, query=query)


WHISPER = Listener(_bytes)
WHISPER_TINY_EN = Listener(_bytes, only="en")
WHISPER_TURBO = Listener(_base64, translates=True, vad=True)
NOVA = Listener(_deepgram)

_BY_MODEL: Mapping[str, Listener] = {
    "whisper": WHISPER,
    "whisper-tiny-en": WHISPER_TINY_EN,
    "whisper-large-v3-turbo": WHISPER_TURBO,
    "nova-3": NOVA,
}
# Models that came after this was written, by how the catalogue says they are asked.
_BY_REQUEST_FORM: Mapping[str, Listener] = {
    "binary_or_json": WHISPER,
    "json": Listener(_base64, vad=True),
    "binary_body_with_content_type": NOVA,
}


def listener_of(offer: Offer) -> Listener:
    """Raises NotFoundError for a model that cannot be asked."""
    name = offer.upstream_model.rpartition("/")[2]
    found = _BY_MODEL.get(name) or _BY_REQUEST_FORM.get(offer.request_form)
    if found is None or offer.upstream:
        raise NotFoundError(
            f"The model `{offer.name}` cannot be called with a file.",
            param="model",
            code="model_not_supported",
        )
    return found


def request_for(offer: Offer, sound: Sound, wish: Wish) -> UpstreamRequest:
    """Raises NotFoundError, InvalidRequestError or UnsupportedParamError where the model lacks
    what is wished."""
    listener = listener_of(offer)
    if wish.task == TRANSLATE and not listener.translates:
        raise InvalidRequestError(
            f"The model `{offer.name}` cannot translate. Use `whisper-large-v3-turbo`.",
            param="model",
            code="model_not_supported",
        )
    # `language`, `prompt` and `temperature` are hints, which clients send as a matter of course: a
    # model that has no use for one hears without it. Another language than it has is none.
    if wish.language and listener.only and wish.language != listener.only:
        raise UnsupportedParamError(
            f"The model `{offer.name}` hears '{listener.only}' only: use another model for "
            f"'{wish.language}'.",
            param="language",
        )
    if wish.server_vad and not listener.vad:
        raise _unsupported(offer, "chunking_strategy")
    return listener.request(sound, wish)


def _unsupported(offer: Offer, param: str) -> UnsupportedParamError:
    return UnsupportedParamError(
        f"'{param}' is not supported with the model `{offer.name}`.", param=param
    )
