"""The bodies of /v1/conversations."""

from typing import Annotated

from pydantic import Field

from agents.conversations.items import MAX_ITEMS, InputItem, Metadata, Part


class ConversationParams(Part):
    items: Annotated[list[InputItem], Field(max_length=MAX_ITEMS)] | None = None
    """What it begins with, the oldest first."""
    metadata: Metadata | None = None
    """Names and values of your own."""


class ConversationUpdateParams(Part):
    metadata: Metadata | None
    """In place of what was there; null: none."""


class ConversationItemsParams(Part):
    items: Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS)]
    """Added at the end, in this order, with nobody's in between."""
    include: list[str] | None = None
    """Accepted, and without meaning here: items are told whole."""


class ConversationForkParams(Part):
    until: str | None = None
    """The `id` of the last item that is copied; all of them, where it is left out."""
    metadata: Metadata | None = None
    """Of the new conversation; where it is left out, that of the first."""
