"""Images that a message names by URL: fetched by us, since models take them as data alone."""

from base64 import b64encode
from collections.abc import Iterator

from agentflare.errors import InvalidRequestError
from inference.images.remote import fetch_for
from inference.messages.content import (
    Base64Source,
    Block,
    DocumentBlock,
    ImageBlock,
    ToolResultBlock,
    UrlSource,
)
from inference.messages.params import PromptParams


def fetch_images(params: PromptParams, *, tenant_code: str) -> None:
    """Put the data in the place of each URL. Raises InvalidRequestError naming the block."""
    remote = list(_remote_images(params))
    for _, url, param in remote:
        if not url.lower().startswith(("http://", "https://")):
            raise InvalidRequestError(
                f"Invalid value for '{param}': it must be an http(s) URL. Send other images "
                "with a source of the type 'base64'.",
                param=param,
                code="invalid_image_url",
            )
    fetched = fetch_for(tenant_code, [(url, param) for _, url, param in remote])
    for (block, _, _), image in zip(remote, fetched, strict=True):
        block.source = Base64Source.model_construct(
            type="base64", media_type=image.media_type, data=b64encode(image.content).decode()
        )


def _remote_images(params: PromptParams) -> Iterator[tuple[ImageBlock, str, str]]:
    """The block, its URL, and the name of the parameter."""
    for position, message in enumerate(params.messages):
        for number, block in enumerate(message.blocks()):
            for image, where in _images(block, f"messages[{position}].content[{number}]"):
                if isinstance(image.source, UrlSource):
                    yield image, image.source.url, f"{where}.source.url"


def _images(block: Block, where: str) -> Iterator[tuple[ImageBlock, str]]:
    if isinstance(block, ImageBlock):
        yield block, where
    elif isinstance(block, ToolResultBlock | DocumentBlock):
        source = ".source" if isinstance(block, DocumentBlock) else ""
        for number, part in enumerate(block.inner()):
            if isinstance(part, ImageBlock | DocumentBlock):
                yield from _images(part, f"{where}{source}.content[{number}]")
