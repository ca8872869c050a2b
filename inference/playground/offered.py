"""The models of each of the playground's pages, with what the page needs to know of them."""

from collections.abc import Callable, Iterable
from typing import Any

from agentflare.errors import NotFoundError
from inference.audio.speech.speakers import speaker_of
from inference.audio.transcripts.listeners import listener_of
from inference.catalog.selectors import Catalogue, Offer, RoutePlan
from inference.images.families import Family, family_of

Model = dict[str, Any]
# What people ask for, where a model leaves the choice.
_SIZES = ((512, 512), (768, 768), (1024, 1024), (1024, 768), (768, 1024), (1280, 720), (720, 1280))


def chat_models(catalogue: Catalogue, tenant_code: str) -> list[Model]:
    return _models(catalogue, tenant_code, ("chat", "image-to-text"), _chat)


def image_models(catalogue: Catalogue, tenant_code: str) -> list[Model]:
    return _models(catalogue, tenant_code, ("text-to-image",), _image)


def speech_models(catalogue: Catalogue, tenant_code: str) -> list[Model]:
    return _models(catalogue, tenant_code, ("tts",), _speech)


def transcription_models(catalogue: Catalogue, tenant_code: str) -> list[Model]:
    return _models(catalogue, tenant_code, ("asr",), _transcription)


def embedding_models(catalogue: Catalogue, tenant_code: str) -> list[Model]:
    return _models(catalogue, tenant_code, ("embeddings",), _embedding)


def _models(
    catalogue: Catalogue,
    tenant_code: str,
    kinds: Iterable[str],
    facts: Callable[[Offer], Model | None],
) -> list[Model]:
    """By name. A route is what its first model is; it stands before a model of its name."""
    plans = [
        RoutePlan(offer.name, [(offer, 1)])
        for offer in catalogue.offers.values()
        if offer.is_listed_for(tenant_code)
    ]
    by_name = {plan.name: plan.offers[0] for plan in [*plans, *catalogue.routes.values()]}
    found = []
    for name, offer in sorted(by_name.items()):
        if offer.kind in kinds and (told := facts(offer)) is not None:
            found.append({"name": name, "vendor": offer.vendor, **told})
    return found


def _chat(offer: Offer) -> Model:
    is_describer = offer.kind == "image-to-text"
    return {
        "tools": offer.can("function_calling"),
        "vision": offer.can("vision") or is_describer,
        "needs_image": is_describer,
        "reasoning": offer.can("reasoning"),
        "json_mode": bool(offer.json_mode),
        "window": offer.context_window or offer.max_input_tokens,
        "max_output": offer.max_output_tokens,
    }


def _image(offer: Offer) -> Model:
    family = family_of(offer.upstream_model)
    return {
        "size": _text(*family.size),
        "sizes": sizes_of(family),
        "is_fixed": family.has_fixed_size,
        "steps": family.steps,
        "max_steps": family.max_steps if family.steps_field else None,
        "negative_prompt": family.has_negative_prompt,
    }


def sizes_of(family: Family) -> list[str]:
    """The model's own first."""
    sizes = [family.size]
    if family.sides is not None:
        least, most = family.sides
        sizes += [size for size in _SIZES if least <= min(size) and max(size) <= most]
    return list(dict.fromkeys(_text(*size) for size in sizes))


def _text(width: int, height: int) -> str:
    return f"{width}x{height}"


def _speech(offer: Offer) -> Model | None:
    try:
        speaker = speaker_of(offer)
    except NotFoundError:
        return None
    return {"voices": speaker.voices.own, "formats": speaker.formats}


def _transcription(offer: Offer) -> Model | None:
    try:
        listener = listener_of(offer)
    except NotFoundError:
        return None
    return {"only": listener.only}


def _embedding(offer: Offer) -> Model:
    return {"dimensions": offer.dimensions, "max_input": offer.max_input_tokens}
