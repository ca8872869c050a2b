"""Images that a chat names by URL: fetched by us, since models take them as data alone."""

from inference.chat.params import ChatCompletionParams, ImagePart
from inference.images.remote import as_data_url, fetch_for


def with_fetched_images(params: ChatCompletionParams, *, tenant_code: str) -> ChatCompletionParams:
    """The parameters with data URLs for all images. Raises GatewayError."""
    remote: list[tuple[ImagePart, str]] = []
    for position, message in enumerate(params.messages):
        for image in message.images():
            if image.image_url.url.lower().startswith(("http://", "https://")):
                assert isinstance(message.content, list)
                part = f"messages[{position}].content[{message.content.index(image)}]"
                remote.append((image, f"{part}.image_url.url"))
    if remote:
        wanted = [(image.image_url.url, param) for image, param in remote]
        fetched = fetch_for(tenant_code, wanted)
        for (image, _), found in zip(remote, fetched, strict=True):
            image.image_url.url = as_data_url(found)
    return params
