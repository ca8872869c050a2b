"""A chat made ready for one AI model: bodies, bounds, and how its answer is read."""

from typing import Any

from billing.prices.models import Unit
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.chat import image_to_text
from inference.chat.estimate import estimate_chat
from inference.chat.json_answers import check_schema, instruction, schema_of
from inference.chat.params import ChatCompletionParams, NamedToolChoice
from inference.chat.reading import Reading
from inference.chat.requests import answers_all_choices, check_supported, upstream_body
from inference.chat.upstream import ChatWork
from inference.pipeline import require_kind

KINDS = ("chat", "moderation", image_to_text.KIND)


def prepare_chat(params: ChatCompletionParams, offer: Offer, *, endpoint: str) -> Prepared:
    """Raises GatewayError where this model cannot do what is asked."""
    require_kind(offer, KINDS, endpoint=endpoint)
    check_supported(params, offer)
    asks_json = params.wants_json and not offer.json_mode
    if params.response_format and asks_json:
        check_schema(schema_of(params.response_format))
    if offer.kind == image_to_text.KIND:
        body = image_to_text.upstream_body(params, offer)
    else:
        body = upstream_body(params, offer)
    if asks_json:
        assert params.response_format is not None
        system = {"role": "system", "content": instruction(params.response_format)}
        body["messages"] = _with_system(body["messages"], system["content"])
    estimate = estimate_chat(params, offer, body)
    calls, choices = (1, params.choices) if answers_all_choices(offer) else (params.choices, 1)
    work = ChatWork(
        bodies=[body] * calls,
        choices=choices,
        estimate=estimate,
        wants_json=params.wants_json and not asks_json,
        reading=Reading(
            stops=params.stops if offer.is_native else [],
            splits_thoughts=offer.is_native and offer.can("reasoning"),
            forced_functions=_forced_functions(params),
            named_function=_named_function(params),
            one_call=params.parallel_tool_calls is False,
            asks_json=asks_json,
            schema=schema_of(params.response_format) if params.response_format else None,
        ),
    )
    most: dict[str, Any] = {
        Unit.INPUT_TOKENS: estimate.most_prompt_tokens * calls,
        Unit.OUTPUT_TOKENS: estimate.output_cap * params.choices,
    }
    return Prepared(offer, most, work, facts=estimate.facts, output_cap=estimate.output_cap)


def _with_system(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Added to the client's own system message: chat templates take one, and at the start."""
    first = messages[0]
    if first["role"] == "system" and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _forced_functions(params: ChatCompletionParams) -> frozenset[str]:
    if not params.tools or params.tool_choice in (None, "none", "auto"):
        return frozenset()
    return frozenset(tool.function.name for tool in params.tools)


def _named_function(params: ChatCompletionParams) -> str | None:
    choice = params.tool_choice
    return choice.function.name if isinstance(choice, NamedToolChoice) else None
