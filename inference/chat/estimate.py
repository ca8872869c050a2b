"""The most a chat can cost, before it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from agentflare.errors import ContextLengthError
from inference.catalog.selectors import Offer
from inference.chat.params import ChatCompletionParams
from inference.tokens.bounds import token_bound
from inference.tokens.measures import EMPTY, measure
from inference.tokens.texts import collect
from inference.upstreams.requests import dump_json

# The fields of a body that become part of the prompt.
_READ_AS_PROMPT = (
    "messages",
    "prompt",
    "question",
    "tool_choice",
    "response_format",
    "guided_json",
    "chat_template_kwargs",
)
# Names that every message has: the allowance for each message covers them.
_FORM = {"messages", "role", "content", "type", "text"}
# Our upper bound may be too low for an odd text, but not by more than this.
_BELIEVABLE = 4
# The most an image was seen to take; providers count by tiles.
_TOKENS_PER_IMAGE = 3_000
_LIKELY_TOKENS_PER_IMAGE = 1_000
# Of spaces.
_LONGEST_TOKEN_CHARS = 128


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call may use and cost, for all its choices.

    likely_prompt_tokens stands in where upstream never tells the prompt's tokens, of one call;
    most_prompt_tokens is its bound. output_cap is for one choice, and is always sent upstream.
    """

    likely_prompt_tokens: int
    most_prompt_tokens: int
    output_cap: int
    # What upstream may tell at most for all calls: more is no count but a fault.
    believable_prompt_tokens: int
    # What settled calls are compared with, to learn from.
    facts: Mapping[str, Any] = field(default_factory=dict)


def estimate_chat(params: ChatCompletionParams, offer: Offer, body: dict[str, Any]) -> Estimate:
    """body: what will be sent upstream; all of it is read there, so all of it is counted.

    Raises ContextLengthError when the prompt alone fills the model's context window.
    """
    text = prompt_text(body)
    if offer.context_window and len(text) > _LONGEST_TOKEN_CHARS * offer.context_window:
        # Counting it would take seconds.
        raise ContextLengthError(
            context_window=offer.context_window, prompt_tokens=len(text) // _LONGEST_TOKEN_CHARS
        )
    tools = body.get("tools")
    images = sum(len(message.images()) for message in params.messages)
    calls = sum(len(message.tool_calls or []) for message in params.messages)
    bound = token_bound(
        measure(text),
        model=offer.name,
        vocabulary=offer.vocabulary,
        # Each tool call of the history has marks of its own, as its result has.
        messages=len(params.messages) + 2 * calls,
        has_system=any(message.role in ("system", "developer") for message in params.messages),
        tools=measure(dump_json(tools).decode()) if tools else EMPTY,
    )
    likely = bound.likely + images * _LIKELY_TOKENS_PER_IMAGE
    most = bound.most + images * _TOKENS_PER_IMAGE
    output_cap = cap_output(params, offer, likely_prompt=likely)
    # Native models are called once for each choice, and read the prompt each time.
    prompts = params.choices if offer.is_native else 1
    can_learn = not images and prompts == 1
    return Estimate(
        likely_prompt_tokens=likely,
        most_prompt_tokens=most,
        output_cap=output_cap,
        believable_prompt_tokens=most * prompts * _BELIEVABLE,
        facts=bound.facts if can_learn else {},
    )


def cap_output(params: ChatCompletionParams, offer: Offer, *, likely_prompt: int) -> int:
    """The client's cap, or ours; never more than the window leaves beside the prompt."""
    default = (
        settings.DEFAULT_MAX_REASONING_OUTPUT_TOKENS
        if offer.can("reasoning")
        else settings.DEFAULT_MAX_OUTPUT_TOKENS
    )
    return fit_output(params.output_cap or default, offer, prompt=likely_prompt)


def fit_output(cap: int, offer: Offer, *, prompt: int) -> int:
    """An output cap that the model and its window take. Raises ContextLengthError."""
    if offer.max_output_tokens:
        cap = min(cap, offer.max_output_tokens)
    if offer.context_window is None:
        return cap
    left = offer.context_window - prompt
    if left <= 0:
        raise ContextLengthError(context_window=offer.context_window, prompt_tokens=prompt)
    return min(cap, left)


def prompt_text(body: Mapping[str, Any]) -> str:
    """All that a model reads of a body as text, names of fields too, but no image.

    Raises InvalidRequestError for more values than a prompt can have.
    """
    read = {name: body[name] for name in _READ_AS_PROMPT if name in body}
    return collect(read, unnamed=_FORM, is_medium=lambda _, value: is_image(value)).joined()


def is_image(part: Any) -> bool:
    """An image part as chat.requests makes it: a data URL and nothing that could be text."""
    if not isinstance(part, dict) or part.keys() != {"type", "image_url"}:
        return False
    image = part["image_url"]
    return isinstance(image, dict) and str(image.get("url")).startswith("data:image/")
