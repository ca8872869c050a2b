"""Pictures that a history names by URL: fetched by us, since models take them as data alone."""

from collections.abc import Sequence
from typing import Any

from agents.turns.history import Group
from inference.images.remote import as_data_url, fetch_for


def fetch_images(groups: Sequence[Group], *, tenant_code: str) -> None:
    """They become data URLs, in place. Raises GatewayError."""
    remote = [part for group in groups for part in _pictures(group) if _is_remote(part)]
    if not remote:
        return
    wanted = [(part["image_url"]["url"], "input") for part in remote]
    for part, found in zip(remote, fetch_for(tenant_code, wanted), strict=True):
        part["image_url"]["url"] = as_data_url(found)


def _pictures(group: Group) -> list[dict[str, Any]]:
    return [
        part
        for message in group.messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def _is_remote(part: dict[str, Any]) -> bool:
    return str(part["image_url"]["url"]).lower().startswith(("http://", "https://"))
