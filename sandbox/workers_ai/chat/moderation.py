"""Verdicts of the moderation models: a plain word list, in place of a model.

Good for seeing both verdicts come through, no good for moderating anything.
"""

import re

import orjson

from sandbox.workers_ai.chat.inputs import ChatCall
from sandbox.workers_ai.errors import EngineError

RULES_FINGERPRINT = "sandbox-rules"

# Llama Guard's hazard categories, with a few words for each.
WORDS_BY_CATEGORY = {
    "S1": ("kill", "murder", "stab", "behead"),
    "S2": ("steal", "burgle", "launder", "shoplift", "pick a lock"),
    "S9": ("bomb", "nerve agent", "grenade", "bioweapon"),
    "S11": ("suicide", "hurt myself", "kill myself"),
}


def check_roles(call: ChatCall) -> None:
    """Raises EngineError unless user and assistant take turns, beginning with the user."""
    roles = [message.role for message in call.messages if message.role != "system"]
    expected = ["user", "assistant"] * len(roles)
    if roles != expected[: len(roles)]:
        raise EngineError(
            '{"object":"error","message":"Conversation roles must alternate '
            'user/assistant/user/assistant/...","type":"BadRequestError","code":400}'
        )


def verdict(call: ChatCall) -> str:
    """What the model says of the newest message: text, or JSON in JSON mode."""
    check_roles(call)
    text = call.newest.text.lower()
    categories = [
        category
        for category, words in WORDS_BY_CATEGORY.items()
        if any(re.search(rf"\b{word}", text) for word in words)
    ]
    if call.has_json_mode:
        return orjson.dumps({"safe": not categories, "categories": categories}).decode()
    return "unsafe\n" + ",".join(categories) if categories else "safe"
