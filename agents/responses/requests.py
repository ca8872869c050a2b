"""From OpenAI's parameters of a response to a chat's, and to what is told again with the answer."""

from typing import Any
from uuid import UUID

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from agents.conversations.items import require_readable
from agents.responses.objects import response_id
from agents.responses.params import (
    AllowedChoice,
    FunctionChoice,
    ReasoningOptions,
    ResponseFunctionTool,
    ResponseParams,
    TextFormat,
)

# A chat's parameters by a response's, for the refusals that name them.
PARAM_NAMES = {
    "messages": "input",
    "response_format": "text.format",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
_LOGPROBS = "message.output_text.logprobs"


def check(params: ResponseParams) -> None:
    """Rules between fields, and what is not to be had here. Raises GatewayError."""
    if params.input is None and params.previous_response_id is None and not params.conversation_id:
        raise InvalidRequestError(
            "Missing required parameter: 'input'.",
            param="input",
            code="missing_required_parameter",
        )
    if params.previous_response_id is not None and params.conversation_id is not None:
        raise InvalidRequestError(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Send one "
            "of them.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    if params.background and not params.is_stored:
        raise InvalidRequestError(
            "'background' needs 'store': nobody could read the response otherwise.",
            param="background",
        )
    if params.stream_options is not None and not params.stream:
        raise InvalidRequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    for number, tool in enumerate(params.tools or []):
        if not isinstance(tool, ResponseFunctionTool):
            raise UnsupportedParamError(
                f"Tools of the type '{tool.type}' are not run here: use 'function'.",
                param=f"tools[{number}].type",
            )
    if isinstance(params.input, list):
        require_readable(params.input, param="input")


def chat_fields(params: ResponseParams) -> dict[str, Any]:
    """A chat's parameters without its messages. Nothing in it is left to be checked but what
    depends on the model."""
    wants_logprobs = bool(params.top_logprobs) or _LOGPROBS in (params.include or [])
    fields: dict[str, Any] = {
        "model": params.model,
        "max_completion_tokens": params.max_output_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
        "reasoning_effort": params.reasoning.effort if params.reasoning else None,
        "logprobs": True if wants_logprobs else None,
        "top_logprobs": params.top_logprobs or None,
    }
    if params.text and params.text.format:
        fields["response_format"] = _response_format(params.text.format)
    if params.tools:
        tools = [tool for tool in params.tools if isinstance(tool, ResponseFunctionTool)]
        fields["tools"] = list(map(_tool, tools))
        fields["tool_choice"] = _choice(params.tool_choice)
        fields["parallel_tool_calls"] = params.parallel_tool_calls
    elif params.tool_choice not in (None, "none", "auto"):
        raise InvalidRequestError(
            "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
        )
    return fields


def asked_of(
    params: ResponseParams, *, conversation: UUID | None, previous: UUID | None
) -> dict[str, Any]:
    """The fields of a response object that say what was asked for, defaults and nulls included.

    conversation: as the client named it; those of responses alone are told to nobody.
    """
    reasoning = params.reasoning or ReasoningOptions()
    return {
        "previous_response_id": response_id(previous) if previous else None,
        "conversation": {"id": f"conv_{conversation.hex}"} if conversation else None,
        "instructions": params.instructions,
        "tools": [_told_tool(tool) for tool in params.tools or []],
        "tool_choice": _told(params.tool_choice) or "auto",
        "truncation": params.truncation or "disabled",
        "parallel_tool_calls": params.parallel_tool_calls is not False,
        "text": _told_text(params),
        "top_p": 1.0 if params.top_p is None else params.top_p,
        "presence_penalty": params.presence_penalty or 0.0,
        "frequency_penalty": params.frequency_penalty or 0.0,
        "top_logprobs": params.top_logprobs or 0,
        "temperature": 1.0 if params.temperature is None else params.temperature,
        "reasoning": {
            "effort": reasoning.effort,
            "summary": reasoning.summary or reasoning.generate_summary,
        },
        "max_output_tokens": params.max_output_tokens,
        "max_tool_calls": params.max_tool_calls,
        "store": params.is_stored,
        "background": bool(params.background),
        "service_tier": "default",
        "metadata": params.metadata or {},
        "user": params.user,
        "safety_identifier": params.safety_identifier,
        "prompt_cache_key": params.prompt_cache_key,
        "prompt_cache_retention": params.prompt_cache_retention,
    }


def _tool(tool: ResponseFunctionTool) -> dict[str, Any]:
    given = {
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    function = {name: value for name, value in given.items() if value is not None}
    return {"type": "function", "function": {"name": tool.name, **function}}


def _told_tool(tool: Any) -> dict[str, Any]:
    """OpenAI fills in what was left out."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict is not False,
    }


def _choice(choice: Any) -> Any:
    if isinstance(choice, FunctionChoice):
        return _named(choice)
    if isinstance(choice, AllowedChoice):
        tools = list(map(_named, choice.tools))
        return {
            "type": "allowed_tools",
            "allowed_tools": {"mode": choice.mode, "tools": tools},
        }
    return choice


def _named(choice: FunctionChoice) -> dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}}


def _told(choice: Any) -> Any:
    return choice if choice is None or isinstance(choice, str) else choice.model_dump()


def _response_format(form: TextFormat) -> dict[str, Any]:
    if form.type != "json_schema":
        return {"type": form.type}
    if form.schema_ is None or form.name is None:
        missing = "schema" if form.name is not None else "name"
        raise InvalidRequestError(
            f"Missing required parameter: 'text.format.{missing}'.",
            param=f"text.format.{missing}",
            code="missing_required_parameter",
        )
    named = {"name": form.name, "schema": form.schema_, "strict": form.strict}
    return {"type": "json_schema", "json_schema": named}


def _told_text(params: ResponseParams) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "text"}
    text = params.text
    if text and text.format:
        form = {"type": text.format.type}
        if text.format.type == "json_schema":
            form |= {
                "name": text.format.name,
                "description": text.format.description,
                "schema": text.format.schema_,
                "strict": bool(text.format.strict),
            }
    return {"format": form, "verbosity": (text.verbosity if text else None) or "medium"}
