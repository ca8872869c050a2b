"""Models that describe one picture (Moondream, LLaVA), spoken to as a chat."""

import base64
import binascii
from typing import Any

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from inference.catalog.selectors import Offer
from inference.chat.params import ChatCompletionParams, ImagePart

KIND = "image-to-text"


def upstream_body(params: ChatCompletionParams, offer: Offer) -> dict[str, Any]:
    """All text of the messages is the question, the last image is the picture.

    Raises InvalidRequestError without an image, UnsupportedParamError for what cannot be done.
    """
    if params.tools:
        raise UnsupportedParamError(
            f"The model `{params.model}` does not support tools.", param="tools"
        )
    images = [image for message in params.messages for image in message.images()]
    if not images:
        raise InvalidRequestError(
            f"The model `{params.model}` describes images: send one as an image_url part.",
            param="messages",
        )
    if len(images) > 1:
        raise InvalidRequestError(f"The model `{params.model}` takes one image.", param="messages")
    question = "\n".join(text for message in params.messages if (text := message.text()))
    body = (
        _moondream(params, images[0], question)
        if "moondream" in offer.upstream_model
        else (_llava(images[0], question))
    )
    if params.temperature is not None:
        body["temperature"] = params.temperature
    return body


def _moondream(params: ChatCompletionParams, image: ImagePart, question: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "image": image.image_url.url,
        "reasoning": params.reasoning_effort not in (None, "none"),
    }
    if params.top_p is not None:
        body["top_p"] = params.top_p
    if question:
        return {"task": "query", "question": question, **body}
    return {"task": "caption", **body}


def _llava(image: ImagePart, question: str) -> dict[str, Any]:
    """Takes the picture's bytes as a list of numbers."""
    try:
        content = base64.b64decode(image.image_url.url.partition(",")[2], validate=True)
    except binascii.Error:
        raise InvalidRequestError(
            "The image is not valid base64.", param="messages", code="invalid_base64"
        ) from None
    return {"image": list(content), "prompt": question or "Describe this image."}
