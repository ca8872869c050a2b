"""Pictures that a history names by URL: fetched by us, since models take them as data alone.

What a turn is asked with must be there. Of the history before it a picture that is gone, or that
the model cannot see, is told as text: a conversation must go on whatever becomes of old pictures.
"""

from collections.abc import Sequence
from typing import Any

from agentflare.errors import GatewayError
from agents.turns.history import Group
from inference.images.remote import as_data_url, fetch_for

NOT_THERE = "(Here was a picture, which is not there any more.)"
NOT_SEEN = "(Here is a picture, which this model cannot see.)"
# Of the history before a turn, the newest.
_MOST_OLD = 4
Part = dict[str, Any]


def fetch_images(
    groups: Sequence[Group], *, tenant_code: str, first_new: int, known: dict[str, str]
) -> None:
    """They become data URLs, in place.

    first_new: the group from which on they must be there. known: by URL, what this turn has fetched
    already. Raises GatewayError.
    """
    _fetch(_remote(groups[first_new:]), tenant_code, known)
    old = _remote(groups[:first_new])
    for part in old[:-_MOST_OLD]:
        _put_text(part, NOT_THERE)
    for part in old[-_MOST_OLD:]:
        try:
            _fetch([part], tenant_code, known)
        except GatewayError:
            _put_text(part, NOT_THERE)


def unseen(groups: Sequence[Group]) -> list[Group]:
    """The same with words in the place of pictures, for a model that takes none."""
    return [
        Group([_without_pictures(message) for message in group.messages], group.newest)
        for group in groups
    ]


def _without_pictures(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if not isinstance(content, list):
        return message
    texts = [NOT_SEEN if part["type"] == "image_url" else part["text"] for part in content]
    return {**message, "content": "\n".join(texts)}


def _fetch(parts: Sequence[Part], tenant_code: str, known: dict[str, str]) -> None:
    unknown = [part for part in parts if _url(part) not in known]
    if unknown:
        wanted = [(_url(part), "input") for part in unknown]
        for (url, _), found in zip(wanted, fetch_for(tenant_code, wanted), strict=True):
            known[url] = as_data_url(found)
    for part in parts:
        part["image_url"]["url"] = known[_url(part)]


def _remote(groups: Sequence[Group]) -> list[Part]:
    parts = [part for group in groups for part in _pictures(group)]
    return [part for part in parts if _url(part).lower().startswith(("http://", "https://"))]


def _url(part: Part) -> str:
    return str(part["image_url"]["url"])


def _put_text(part: Part, text: str) -> None:
    part.clear()
    part |= {"type": "text", "text": text}


def _pictures(group: Group) -> list[Part]:
    return [
        part
        for message in group.messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
