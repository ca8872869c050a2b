"""How many tokens a chat call's prompt has, in the model's own vocabulary."""

import orjson

from sandbox.workers_ai.chat.inputs import ChatCall
from sandbox.workers_ai.tokens import Vocabulary, count_texts

# What a chat template adds: marks and role around each message, and the opening of the answer.
TOKENS_PER_MESSAGE = 4
TOKENS_PER_ANSWER_OPENING = 3

# Real models take from some 250 to some 3,000 by size and family; the stand-in does not look.
TOKENS_PER_IMAGE = 1_024


async def count_prompt_tokens(call: ChatCall, vocabulary: Vocabulary) -> int:
    """Texts, tools and earlier tool calls as JSON, images at a fixed rate, and the template."""
    texts = [message.text for message in call.messages]
    for message in call.messages:
        texts += [orjson.dumps(tool_call).decode() for tool_call in message.tool_calls]
    texts += [orjson.dumps(tool).decode() for tool in call.raw_tools]
    images = sum(message.images for message in call.messages)
    template = 0
    if not call.is_raw:
        template = TOKENS_PER_MESSAGE * len(call.messages) + TOKENS_PER_ANSWER_OPENING
    return await count_texts(vocabulary, texts) + images * TOKENS_PER_IMAGE + template
