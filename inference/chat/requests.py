"""From OpenAI's parameters to what an AI model takes upstream, in either form."""

from typing import Any

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from inference.catalog.selectors import Offer
from inference.chat.params import ChatCompletionParams, Message, NamedToolChoice, RefusalPart

# What is passed on of a message; whatever else clients put there stays here.
_MESSAGE_FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning")
# Native models take a seed from 1 to this.
MAX_NATIVE_SEED = 9_999_999_999


def check_supported(params: ChatCompletionParams, offer: Offer) -> None:
    """Refuse what the model cannot do, before anything is held.

    Raises UnsupportedParamError or InvalidRequestError, naming the field.
    """
    name = params.model
    if params.tools and params.tool_choice != "none" and not offer.can("function_calling"):
        raise UnsupportedParamError(f"The model `{name}` does not support tools.", param="tools")
    _check_images(params, offer)
    if offer.is_native:
        if params.logprobs:
            raise UnsupportedParamError(
                f"The model `{name}` does not support logprobs.", param="logprobs"
            )
        if params.logit_bias:
            raise UnsupportedParamError(
                f"The model `{name}` does not support logit_bias.", param="logit_bias"
            )


def _check_images(params: ChatCompletionParams, offer: Offer) -> None:
    for position, message in enumerate(params.messages):
        for image in message.images():
            assert isinstance(message.content, list)
            part = f"messages[{position}].content[{message.content.index(image)}]"
            if not offer.can("vision"):
                raise InvalidRequestError(
                    f"The model `{params.model}` does not take images.", param=part
                )
            if not image.image_url.url.startswith("data:image/"):
                raise InvalidRequestError(
                    "Images must be a data URL (data:image/png;base64,…) or an http(s) URL.",
                    param=f"{part}.image_url.url",
                    code="invalid_image_url",
                )


def upstream_body(params: ChatCompletionParams, offer: Offer) -> dict[str, Any]:
    """The body of one upstream call, without its output cap: see `capped`."""
    return _native_body(params, offer) if offer.is_native else _openai_body(params, offer)


def capped(body: dict[str, Any], offer: Offer, *, output_cap: int, stream: bool) -> dict[str, Any]:
    """The body as it is sent. The output cap is always set: upstream's own default is 256
    tokens on older models."""
    # The older name where the newer may be unknown: native models, text completions, other servers.
    is_older = offer.is_native or bool(offer.upstream) or "prompt" in body
    name = "max_tokens" if is_older else "max_completion_tokens"
    return {**body, name: output_cap, **({"stream": True} if stream else {})}


def answers_all_choices(offer: Offer) -> bool:
    """Whether one call returns all `n` choices; native models answer one at a time."""
    return not offer.is_native


def can_stream(offer: Offer, *, wants_json: bool) -> bool:
    """Native models do not stream in JSON mode: they are asked whole, and relayed as one chunk."""
    return (
        offer.can("streaming")
        and offer.kind != "image-to-text"
        and not (offer.is_native and wants_json)
    )


# --- OpenAI's form ------------------------------------------------------------------


def _openai_body(params: ChatCompletionParams, offer: Offer) -> dict[str, Any]:
    body = _common(params)
    body["messages"] = [_openai_message(message) for message in params.messages]
    body.update(
        given(
            n=params.n if params.choices > 1 else None,
            seed=params.seed,
            stop=params.stops or None,
            logit_bias=params.logit_bias or None,
            logprobs=params.logprobs,
            top_logprobs=params.top_logprobs,
            top_p=params.top_p,
            reasoning_effort=_effort(params),
            chat_template_kwargs=params.chat_template_kwargs,
        )
    )
    if params.tools:
        body["tools"] = [_tool(tool) for tool in _dump_all(params.tools)]
        body.update(
            given(
                tool_choice=_dump(params.tool_choice),
                parallel_tool_calls=params.parallel_tool_calls,
            )
        )
    if params.wants_json and offer.json_mode:
        body["response_format"] = _dump(params.response_format)
    return body


def _openai_message(message: Message) -> dict[str, Any]:
    dumped: dict[str, Any] = _dump(message)
    document = {key: dumped[key] for key in _MESSAGE_FIELDS if key in dumped}
    if message.role == "developer":
        document["role"] = "system"
    # Where upstream expects the reasoning of earlier turns.
    if isinstance(reasoning := dumped.get("reasoning_content"), str):
        document["reasoning"] = reasoning
    if isinstance(message.content, list):
        document["content"] = [_openai_part(part) for part in document["content"]]
    elif message.content is None:
        document["content"] = ""
    return document


def _openai_part(part: dict[str, Any]) -> dict[str, Any]:
    """Only what upstream knows: whatever else stood there would be read, and not be counted."""
    if part["type"] == "image_url":
        image = part["image_url"]
        known = {name: image[name] for name in ("url", "detail") if name in image}
        return {"type": "image_url", "image_url": known}
    return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}


def _effort(params: ChatCompletionParams) -> str | None:
    """Upstream knows low, medium and high."""
    nearest = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
    effort = params.reasoning_effort
    return nearest.get(effort, effort) if effort else None


# --- Workers AI's own form ----------------------------------------------------------


def _native_body(params: ChatCompletionParams, offer: Offer) -> dict[str, Any]:
    body = _common(params)
    body["messages"] = [_native_message(message, offer) for message in params.messages]
    if params.seed is not None:
        body["seed"] = params.seed % MAX_NATIVE_SEED + 1
    if params.top_p is not None:
        body["top_p"] = max(params.top_p, 0.001)
    if params.tools and params.tool_choice != "none":
        body["tools"] = [_tool(tool) for tool in _dump_all(_chosen_tools(params))]
        if params.tool_choice in ("auto", "required"):
            body["tool_choice"] = params.tool_choice
        elif params.tool_choice:
            body["tool_choice"] = "required"
    if params.wants_json and offer.json_mode:
        body.update(_native_json_mode(params, offer))
    return body


def _chosen_tools(params: ChatCompletionParams) -> list[Any]:
    """Native models cannot be told to call one tool; offering only that one comes close."""
    tools = params.tools or []
    if isinstance(params.tool_choice, NamedToolChoice):
        name = params.tool_choice.function.name
        return [tool for tool in tools if tool.function.name == name]
    return tools


def _native_message(message: Message, offer: Offer) -> dict[str, Any]:
    """Text as one string, never null: older models refuse anything else."""
    document: dict[str, Any] = {"role": message.role, "content": _native_content(message, offer)}
    if message.role == "developer":
        document["role"] = "system"
    if message.role == "function":
        document["role"] = "tool"
    if message.tool_calls:
        document["tool_calls"] = _dump_all(message.tool_calls)
    document.update(given(tool_call_id=message.tool_call_id, name=message.name))
    return document


def _native_content(message: Message, offer: Offer) -> Any:
    if message.images():
        return [_openai_part(part) for part in _dump(message)["content"]]
    text = message.text()
    refusals = [part.refusal for part in message.content or [] if isinstance(part, RefusalPart)]
    return "\n".join([text, *refusals]) if refusals else text


def _native_json_mode(params: ChatCompletionParams, offer: Offer) -> dict[str, Any]:
    """Native models take the bare schema, without OpenAI's wrapper."""
    assert params.response_format is not None
    schema = params.response_format.json_schema
    if schema is None or schema.schema_ is None:
        if offer.json_mode == "guided_json":
            return {"guided_json": {"type": "object"}}
        return {"response_format": {"type": "json_object"}}
    if offer.json_mode == "guided_json":
        return {"guided_json": schema.schema_}
    return {"response_format": {"type": "json_schema", "json_schema": schema.schema_}}


# --- both ---------------------------------------------------------------------------


def _common(params: ChatCompletionParams) -> dict[str, Any]:
    return given(
        temperature=params.temperature,
        top_k=params.top_k,
        repetition_penalty=params.repetition_penalty,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
    )


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A missing description is refused upstream (8001)."""
    tool["function"].setdefault("description", "")
    return tool


def given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _dump(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True, by_alias=True)
    return value


def _dump_all(values: list[Any]) -> list[Any]:
    return [_dump(value) for value in values]
