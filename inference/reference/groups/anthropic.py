"""Anthropic's Messages API."""

from inference.messages.params import MessageParams, PromptParams
from inference.reference.answers.anthropic import (
    AnthropicAnswer,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    TokenCount,
)
from inference.reference.answers.errors import AnthropicError
from inference.reference.groups.common import EVENTS, JSON, calls_a_model
from inference.reference.operation import Body, Content, Example
from inference.reference.refusals import CHATS, CONTEXT_LENGTH, WITH_BODY

_PROMPT = {
    "model": "llama-3.3-70b-fast",
    "messages": [{"role": "user", "content": "What is the capital of Peru?"}],
}

OPERATIONS = (
    calls_a_model(
        path="/v1/messages",
        id="createMessage",
        tag="Anthropic",
        summary="Create a message",
        description="A model's answer to a conversation, in Anthropic's form. Their clients' base "
        "URL has no `/v1`, and the key goes into `x-api-key`. Errors are in Anthropic's envelope, "
        "with its statuses: 402 where credit does not suffice, 529 where the provider has no "
        "capacity.",
        bodies={JSON: Body(MessageParams)},
        answers={
            JSON: Content((AnthropicAnswer,)),
            EVENTS: Content(
                events=(
                    MessageStart,
                    ContentBlockStart,
                    ContentBlockDelta,
                    ContentBlockStop,
                    MessageDelta,
                    MessageStop,
                    Ping,
                    AnthropicError,
                ),
                when="With `stream`; ends in `message_stop`. `event:` is the data's `type`.",
            ),
        },
        refusals=CHATS,
        dialect="anthropic",
        examples=(
            Example(
                "A question",
                {**_PROMPT, "max_tokens": 1000},
                call="messages.create",
                python="print(answer.content[0].text)",
                javascript="console.log(answer.content[0].text);",
            ),
        ),
    ),
    calls_a_model(
        path="/v1/messages/count_tokens",
        id="countMessageTokens",
        tag="Anthropic",
        summary="Count a prompt's tokens",
        description="Our estimate of how many tokens a prompt has. It is free.",
        bodies={JSON: Body(PromptParams)},
        answers={JSON: Content((TokenCount,))},
        refusals=(*WITH_BODY, CONTEXT_LENGTH),
        headers=("Idempotency-Key",),
        dialect="anthropic",
        examples=(
            Example(
                "A question",
                _PROMPT,
                call="messages.count_tokens",
                python="print(answer.input_tokens)",
                javascript="console.log(answer.input_tokens);",
            ),
        ),
    ),
)
