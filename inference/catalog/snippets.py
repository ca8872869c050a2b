"""A program for each model: the reference's own examples, with the model in them."""

from dataclasses import dataclass, replace
from typing import Any

from inference.catalog.cards import Card
from inference.reference import samples
from inference.reference.groups import OPERATIONS
from inference.reference.operation import Example, Operation

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60"
    "e6kgAAAABJRU5ErkJggg=="
)
# Kind → the operation that reaches it, and which of its examples.
_BY_KIND = {
    "chat": ("createChatCompletion", 0),
    "image-to-text": ("createChatCompletion", 0),
    "moderation": ("createModeration", 0),
    "embeddings": ("createEmbedding", 0),
    "rerank": ("createRerank", 0),
    "text-classification": ("createTextClassification", 0),
    "translation": ("createTextTranslation", 0),
    "text-to-image": ("createImage", 0),
    "inpainting": ("createImageEdit", 0),
    "image-classification": ("createImageClassification", 0),
    "asr": ("createTranscription", 0),
    "tts": ("createSpeech", 0),
}
_NATIVE = ("runModel", 0)
# Bodies of models that only speak their own form.
_OWN_FORM: dict[str, dict[str, Any]] = {
    "decision": {
        "state": "It rains.",
        "questions": {
            "umbrella": {
                "type": "choice",
                "instructions": "Take an umbrella?",
                "criteria": ["yes", "no"],
            }
        },
    },
    "turn-detection": {"audio": "<sound as base64>", "dtype": "uint8"},
}


@dataclass(frozen=True, slots=True)
class Snippet:
    """language: for its heading. id: of its element."""

    id: str
    language: str
    source: str


@dataclass(frozen=True, slots=True)
class Snippets:
    """Of one model: the endpoint that it is reached at, and programs that call it."""

    endpoint: str
    programs: list[Snippet]


def snippets_of(card: Card) -> Snippets:
    operation, example = example_of(card)
    written = [
        ("curl", "curl", samples.curl),
        ("python", "Python", samples.python),
        ("javascript", "JavaScript", samples.javascript),
    ]
    return Snippets(
        endpoint=example.path or operation.path,
        programs=[
            Snippet(name, label, write(operation, example)) for name, label, write in written
        ],
    )


def example_of(card: Card) -> tuple[Operation, Example]:
    operation_id, number = _BY_KIND.get(card.kind, _NATIVE)
    operation = next(each for each in OPERATIONS if each.id == operation_id)
    return operation, _for_model(operation.examples[number], card)


def _for_model(example: Example, card: Card) -> Example:
    body = {"model": card.name, **(example.body or {})} | {"model": card.name}
    match card.kind:
        case "image-to-text":
            parts = [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": _PIXEL}},
            ]
            return replace(
                example, body={"model": card.name, "messages": [{"role": "user", "content": parts}]}
            )
        case "text-to-image":
            # What only some models take is left out.
            return replace(example, body={"model": card.name, "prompt": body["prompt"]}, extra={})
        case "inpainting":
            return replace(
                example,
                body={"model": card.name, "prompt": body["prompt"]},
                files={"image": "picture.png", "mask": "mask.png"},
            )
        case "tts":
            return replace(example, body={k: v for k, v in body.items() if k != "response_format"})
        case "translation":
            return replace(example, body=body | {"target_language": "hi"})
        case kind if kind in _OWN_FORM or kind not in _BY_KIND:
            own = _OWN_FORM.get(kind, dict(example.body or {}))
            return replace(example, body=own, path=f"/v1/run/{card.name}")
    return replace(example, body=body)
