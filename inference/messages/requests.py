"""From Anthropic's parameters to OpenAI's: from there on a message is a chat like any other."""

from typing import Any

from pydantic import ValidationError

from agentflare.api import invalid_params
from agentflare.errors import InvalidRequestError
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.chat.json_answers import check_schema
from inference.chat.params import ChatCompletionParams
from inference.chat.prepare import prepare_chat
from inference.messages.conversation import chat_messages
from inference.messages.params import MessageParams, PromptParams, Thinking, Tool, ToolChoice

ENDPOINT = "messages"
# The most that our chat parameters take; above it nothing changes.
_MAX_TOP_K = 1_000
# Upstream knows levels of effort, no budgets: tokens of thinking up to which each is meant.
_EFFORT_BY_BUDGET = ((4_096, "low"), (16_384, "medium"))


def chat_params(params: PromptParams) -> ChatCompletionParams:
    """Checked parameters as OpenAI has them. Raises InvalidRequestError."""
    fields: dict[str, Any] = {
        "model": params.model,
        "messages": list(chat_messages(params.messages, system=params.system)),
        "reasoning_effort": _effort(params),
        "chat_template_kwargs": _template_kwargs(params.thinking),
    }
    if params.tools:
        fields["tools"] = [_tool(tool) for tool in params.tools]
        fields.update(_choice(params.tool_choice))
    if params.json_schema is not None:
        fields["response_format"] = _response_format(params.json_schema)
    if isinstance(params, MessageParams):
        fields.update(
            max_tokens=params.max_tokens,
            stream=params.stream,
            stop=params.stop_sequences,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=min(params.top_k, _MAX_TOP_K) if params.top_k else None,
        )
    try:
        return ChatCompletionParams.model_validate(fields)
    except ValidationError as exc:
        # What only the translation has too much of: a message for every result of a tool.
        raise invalid_params(exc) from None


def prepare_message(params: ChatCompletionParams, offer: Offer) -> Prepared:
    """Raises GatewayError where this model cannot do what is asked.

    Thinking is no such thing: clients ask for it as a matter of course, and a model that
    cannot think answers without.
    """
    if not offer.can("reasoning"):
        params = params.model_copy(update={"reasoning_effort": None, "chat_template_kwargs": None})
    return prepare_chat(params, offer, endpoint=ENDPOINT)


def _effort(params: PromptParams) -> str | None:
    thinking = params.thinking
    if thinking and thinking.type == "disabled":
        return "none"
    if params.effort:
        return params.effort
    if thinking is None or thinking.budget_tokens is None:
        return None
    budget = thinking.budget_tokens
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget <= most), "high")


def _template_kwargs(thinking: Thinking | None) -> dict[str, bool] | None:
    """The switch of chat templates, in the two spellings that models have for it."""
    if thinking is None:
        return None
    thinks = thinking.type != "disabled"
    return {"enable_thinking": thinks, "thinking": thinks}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    names = {"auto": "auto", "any": "required", "none": "none"}
    named = {"type": "function", "function": {"name": choice.name}}
    return {
        "tool_choice": names.get(choice.type, named),
        "parallel_tool_calls": False if choice.disable_parallel_tool_use else None,
    }


def _response_format(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        check_schema(schema)
    except InvalidRequestError as exc:
        # It names OpenAI's parameter.
        message = exc.message.replace("response_format", "output_config.format")
        param = "output_config.format.schema"
        raise InvalidRequestError(message, param=param, code=exc.code) from None
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}
