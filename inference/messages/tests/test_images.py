"""Images by URL, wherever in a message they stand."""

from typing import Any

import pytest

from agentflare.errors import InvalidRequestError
from inference.images import remote
from inference.images.remote import FetchedImage
from inference.messages.images import fetch_images
from inference.messages.params import PromptParams


@pytest.fixture(autouse=True)
def _has_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such tenant, and no store here."""
    monkeypatch.setattr(remote, "require_credit", lambda tenant_code: None)


def image(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def params(*blocks: Any) -> PromptParams:
    return PromptParams.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": list(blocks)}]}
    )


def test_every_url_is_replaced_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(wanted: list[tuple[str, str]]) -> list[FetchedImage]:
        asked.extend(wanted)
        return [FetchedImage(url[-1].encode(), "image/webp") for url, _ in wanted]

    monkeypatch.setattr(remote, "fetch_images", fetch)
    document = {"type": "document", "source": {"type": "content", "content": [image("http://c")]}}
    result = {"type": "tool_result", "tool_use_id": "x", "content": [image("http://b"), document]}
    made = params(image("http://a"), result)
    fetch_images(made, tenant_code="acme00")

    assert [param.removeprefix("messages[0].content") for _, param in asked] == [
        "[0].source.url",
        "[1].content[0].source.url",
        "[1].content[1].source.content[0].source.url",
    ]
    block: Any = made.messages[0].blocks()[0]
    assert block.url == "data:image/webp;base64,YQ=="
    assert "http" not in made.model_dump_json()


def test_nothing_is_fetched_where_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "fetch_images", lambda wanted: pytest.fail("fetched"))
    with pytest.raises(InvalidRequestError) as refusal:
        fetch_images(params(image("http://a"), image("file:///etc/passwd")), tenant_code="acme00")
    assert refusal.value.param == "messages[0].content[1].source.url"
