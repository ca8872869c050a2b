"""The most a chat can cost, before it is made."""

from dataclasses import dataclass

import orjson
from django.conf import settings

from agentflare.errors import ContextLengthError
from billing.prices.models import Unit
from inference.catalog.selectors import Offer
from inference.chat.params import ChatCompletionParams, Message
from inference.tokens.counting import count_tokens, upper_bound

# What chat templates add: role marks for each message, and a preamble (date, tool rules).
_TOKENS_PER_MESSAGE = 8
_TOKENS_OF_PREAMBLE = 96
# The most an image was seen to take; providers count by tiles.
_TOKENS_PER_IMAGE = 3_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call may use and cost, for all its choices.

    likely_prompt_tokens stands in where upstream never tells the prompt's tokens.
    output_cap is for one choice, and is always sent upstream.
    """

    likely_prompt_tokens: int
    output_cap: int
    cost_nusd: int


def estimate_chat(params: ChatCompletionParams, offer: Offer) -> Estimate:
    """Raises ContextLengthError when the prompt alone fills the model's context window."""
    text = prompt_text(params)
    images = sum(len(message.images()) for message in params.messages)
    counted = count_tokens(text)
    likely = counted + images * (_TOKENS_PER_IMAGE // 3) + 4 * len(params.messages)
    most = (
        upper_bound(text, counted, offer.vocabulary)
        + images * _TOKENS_PER_IMAGE
        + _TOKENS_PER_MESSAGE * len(params.messages)
        + _TOKENS_OF_PREAMBLE
    )
    output_cap = cap_output(params, offer, likely_prompt=likely)
    # Native models are called once for each choice, and read the prompt each time.
    prompts = params.choices if offer.is_native else 1
    cost_nusd = offer.price.charge_nusd(
        {
            Unit.INPUT_TOKENS: most * prompts,
            Unit.OUTPUT_TOKENS: output_cap * params.choices,
        }
    )
    return Estimate(likely_prompt_tokens=likely, output_cap=output_cap, cost_nusd=cost_nusd)


def cap_output(params: ChatCompletionParams, offer: Offer, *, likely_prompt: int) -> int:
    """The client's cap, or ours; never more than the window leaves beside the prompt."""
    default = (
        settings.DEFAULT_MAX_REASONING_OUTPUT_TOKENS
        if offer.can("reasoning")
        else settings.DEFAULT_MAX_OUTPUT_TOKENS
    )
    cap = params.output_cap or default
    if offer.max_output_tokens:
        cap = min(cap, offer.max_output_tokens)
    if offer.context_window is None:
        return cap
    left = offer.context_window - likely_prompt
    if left <= 0:
        raise ContextLengthError(context_window=offer.context_window, prompt_tokens=likely_prompt)
    return min(cap, left)


def prompt_text(params: ChatCompletionParams) -> str:
    """All that upstream will read as text: messages, tool calls, tools, the schema."""
    parts = [text for message in params.messages for text in message_texts(message)]
    if params.tools:
        parts.append(
            orjson.dumps([tool.model_dump(exclude_none=True) for tool in params.tools]).decode()
        )
    if params.response_format and params.response_format.json_schema:
        parts.append(orjson.dumps(params.response_format.json_schema.schema_).decode())
    return "\n".join(parts)


def message_texts(message: Message) -> list[str]:
    texts = [message.text()]
    for call in message.tool_calls or []:
        texts += [call.function.name, call.function.arguments]
    reasoning = (message.model_extra or {}).get("reasoning_content")
    if isinstance(reasoning, str):
        texts.append(reasoning)
    return texts
