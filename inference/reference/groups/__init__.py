"""All operations, in the order in which people read about them."""

from importlib import import_module

from django.conf import settings

from inference.reference.groups import (
    account,
    anthropic,
    audio,
    catalog,
    chat,
    images,
    native,
    texts,
)
from inference.reference.operation import Operation

# Of apps that stand above this one.
_ABOVE = [import_module(name) for name in settings.API_REFERENCE]
OPERATIONS: tuple[Operation, ...] = (
    *chat.OPERATIONS,
    *texts.OPERATIONS,
    *images.OPERATIONS,
    *audio.OPERATIONS,
    *anthropic.OPERATIONS,
    *native.OPERATIONS,
    *(operation for group in _ABOVE for operation in group.OPERATIONS),
    *catalog.OPERATIONS,
    *account.OPERATIONS,
)
TAGS = {
    "Chat": "Conversations with language models, and plain completions.",
    "Text": "Vectors, moderation, ranking, translation and labels of texts.",
    "Images": "Pictures made and changed, and labels for them.",
    "Audio": "Speech to text, and text to speech.",
    "Anthropic": "Anthropic's Messages API, for Anthropic's own clients.",
    "Native": "Models in their own form, as Cloudflare Workers AI takes and answers it.",
    **{tag: about for group in _ABOVE for tag, about in group.TAGS.items()},
    "API keys": "Keys made, limited, rotated and revoked by a program.",
    "Account": "What the workspace has, holds and has used.",
    "Models": "What can be called, at which price; and this document.",
}
