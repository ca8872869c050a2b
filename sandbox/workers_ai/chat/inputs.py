"""The body of a chat call, checked as the real service checks it, and put into one form."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.errors import (
    BadInputError,
    EngineError,
    InvalidToolError,
    JsonModeStreamError,
    JsonModeUnsupportedError,
    NotServedYetError,
)
from sandbox.workers_ai.local_model import ChatTurn
from sandbox.workers_ai.schemas import ANY_OBJECT, Schema
from sandbox.workers_ai.script import without_directive
from sandbox.workers_ai.violations import Violations

MAX_CHOICES = 128
MAX_STOPS = 4

# Keys of the body and the ranges of their numbers.
NATIVE_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 5),
    "top_p": (0.001, 1),
    "top_k": (1, 50),
    "seed": (1, 9_999_999_999),
    "repetition_penalty": (0, 2),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
OPENAI_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


class Surface(StrEnum):
    """Where the call came in."""

    RUN = "run"
    V1 = "v1"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: its text parts joined, its images only counted."""

    role: str
    text: str
    images: int = 0
    tool_calls: tuple[dict[str, Any], ...] = ()
    name: str = ""

    def turn_text(self) -> str:
        """As plain text for the local model: directives are not for it."""
        return without_directive(self.text) + " [image]" * self.images


@dataclass(frozen=True, kw_only=True)
class Tool:
    name: str
    description: str
    parameters: Schema


@dataclass(frozen=True, kw_only=True)
class ChatCall:
    """A valid chat call.

    forced_tool: the tool that must be called by name; `tool_choice` is then "named".
    json_schema: what the answer must fit, in JSON mode; None outside it.
    max_tokens: None means up to the end of the context window.
    alternatives: tell how likely each token was, and so many others at its place; None: don't.
    """

    model: Model
    surface: Surface
    messages: tuple[Message, ...]
    is_prompt: bool = False
    is_raw: bool = False
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    raw_tools: tuple[Any, ...] = ()
    tool_choice: str = "auto"
    forced_tool: str | None = None
    json_schema: Schema | None = None
    has_json_mode: bool = False
    reasoning_effort: str | None = None
    alternatives: int | None = None

    @property
    def newest(self) -> Message:
        return self.messages[-1]

    @property
    def is_after_tools(self) -> bool:
        return self.newest.role == "tool"

    @property
    def newest_user_text(self) -> str:
        """For the local model, like its turns."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.turn_text()
        return ""

    def turns(self) -> list[ChatTurn]:
        """The conversation in roles that SmolLM2 knows: tool calls and results told as text."""
        turns = []
        for message in self.messages:
            if message.role == "tool":
                about = f" of {message.name}" if message.name else ""
                told = f"Result{about}: {message.turn_text()}\nAnswer with this result."
                turns.append(ChatTurn("user", told))
            elif message.tool_calls:
                names = ", ".join(call_name(call) for call in message.tool_calls)
                told = f"{message.turn_text()} (calling {names})"
                turns.append(ChatTurn("assistant", told.strip()))
            else:
                role = message.role if message.role in ("system", "assistant") else "user"
                role = "system" if message.role == "developer" else role
                turns.append(ChatTurn(role, message.turn_text()))
        return turns


def call_name(call: dict[str, Any]) -> str:
    """A call's tool, in either spelling."""
    function = call.get("function")
    name = function.get("name") if isinstance(function, dict) else call.get("name")
    return str(name or "a tool")


def parse_chat_call(model: Model, body: dict[str, Any], surface: Surface) -> ChatCall:
    """Check `body` against the model's schema. Raises the refusal that the service would give."""
    if "requests" in body or ("request_id" in body and "messages" not in body):
        raise NotServedYetError("the sandbox does not serve batch requests yet")
    if "input" in body and "messages" not in body and "prompt" not in body:
        raise NotServedYetError("the sandbox does not serve Responses input yet")

    is_prompt = "prompt" in body and surface is Surface.RUN
    violations = Violations()
    if is_prompt:
        messages = _prompt_message(body, violations)
    else:
        messages = _messages(model, body, violations)
    numbers = _numbers(model, body, surface, violations)
    tools = _tools(body, violations)
    stop = _stop(model, body, violations)
    for flag in ("stream", "raw"):
        if body.get(flag) is not None:
            violations.check_type(f"/{flag}", body[flag], "boolean")
    response_format = body.get("response_format")
    if response_format is not None:
        violations.check_type("/response_format", response_format, "object")
    violations.refuse(has_prompt_form=surface is Surface.RUN and model.native and not is_prompt)

    if not model.has_vision and any(message.images for message in messages):
        raise EngineError(
            '{"object":"error","message":"At most 0 image(s) may be provided in one request.",'
            '"type":"BadRequestError","param":null,"code":400}'
        )
    tool_choice, forced_tool = _tool_choice(body, tools)
    has_json_mode, json_schema = _json_mode(model, body)
    effort = body.get("reasoning_effort")
    return ChatCall(
        model=model,
        surface=surface,
        messages=tuple(messages),
        is_prompt=is_prompt,
        is_raw=bool(body.get("raw")),
        stream=bool(body.get("stream")),
        max_tokens=numbers.max_tokens,
        choices=numbers.choices,
        stop=stop,
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        seed=body.get("seed"),
        tools=tuple(tools) if model.has_tools else (),
        raw_tools=tuple(body.get("tools") or ()) if model.has_tools else (),
        tool_choice=tool_choice,
        forced_tool=forced_tool,
        has_json_mode=has_json_mode,
        json_schema=json_schema,
        reasoning_effort=effort if isinstance(effort, str) else None,
        alternatives=_alternatives(model, body, is_prompt=is_prompt),
    )


def _alternatives(model: Model, body: dict[str, Any], *, is_prompt: bool) -> int | None:
    """A text completion's `logprobs` is their number; a chat's is a switch. Natives know none."""
    asked, number = body.get("logprobs"), body.get("top_logprobs")
    if model.native or asked in (None, False):
        return None
    number = asked if is_prompt else number
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _prompt_message(body: dict[str, Any], violations: Violations) -> list[Message]:
    prompt = body["prompt"]
    if not violations.check_type("/prompt", prompt, "string"):
        return []
    return [Message(role="user", text=prompt, images=1 if body.get("image") else 0)]


def _messages(model: Model, body: dict[str, Any], violations: Violations) -> list[Message]:
    raw_messages = body.get("messages")
    if "messages" not in body:
        violations.found.append("required properties at '/' are 'messages'")
        return []
    if not isinstance(raw_messages, list):
        violations.wrong_type("/messages", "array", raw_messages)
        return []
    if not raw_messages:
        violations.found.append("minItems at '/messages' is 1, got 0")
    messages = []
    for i, raw in enumerate(raw_messages):
        path = f"/messages/{i}"
        if not isinstance(raw, dict):
            violations.wrong_type(path, "object", raw)
            continue
        if (message := _message(model, raw, path, violations)) is not None:
            messages.append(message)
    if messages and body.get("image"):
        messages[-1] = Message(role=messages[-1].role, text=messages[-1].text, images=1)
    return messages


def _message(
    model: Model, raw: dict[str, Any], path: str, violations: Violations
) -> Message | None:
    calls = raw.get("tool_calls") or []
    # Null or no content beside tool calls: taken by the OpenAI-shaped models, refused by natives.
    may_lack_content = not model.native and raw.get("role") == "assistant" and calls
    content = raw.get("content")
    if content is None and may_lack_content:
        content = ""
    elif "content" not in raw or "role" not in raw:
        violations.found.append(f"required properties at '{path}' are 'role,content'")
        return None
    if not violations.check_type(f"{path}/role", raw["role"], "string"):
        return None
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        violations.wrong_type(f"{path}/tool_calls", "array", calls)
        return None

    takes_parts = model.has_vision or not model.native
    if isinstance(content, list) and takes_parts:
        text, images = _parts(content, f"{path}/content", violations)
    elif isinstance(content, str):
        text, images = content, 0
    else:
        violations.wrong_type(f"{path}/content", "string", content)
        return None
    return Message(
        role=raw["role"],
        text=text,
        images=images,
        tool_calls=tuple(calls),
        name=str(raw.get("name") or ""),
    )


def _parts(parts: list[Any], path: str, violations: Violations) -> tuple[str, int]:
    """Text parts joined by line ends, and how many images there are."""
    texts: list[str] = []
    images = 0
    for i, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "image_url" and isinstance(part.get("image_url"), dict | str):
            images += 1
        elif isinstance(part, dict):
            violations.found.append(f"required properties at '{path}/{i}' are 'type'")
        else:
            violations.wrong_type(f"{path}/{i}", "object", part)
    return "\n".join(texts), images


@dataclass(frozen=True)
class Numbers:
    max_tokens: int | None
    choices: int


def _numbers(
    model: Model, body: dict[str, Any], surface: Surface, violations: Violations
) -> Numbers:
    ranges = NATIVE_RANGES if model.native else OPENAI_RANGES
    for key, (low, high) in ranges.items():
        value = body.get(key)
        if value is not None and violations.check_type(f"/{key}", value, "number"):
            violations.check_range(f"/{key}", value, low, high)

    caps = ["max_tokens"]
    if surface is Surface.V1 or not model.native:
        caps = ["max_completion_tokens", "max_tokens"]
    max_tokens = model.default_max_tokens
    for key in reversed(caps):
        value = body.get(key)
        if value is not None and violations.check_type(f"/{key}", value, "integer"):
            violations.check_range(f"/{key}", value, 1, float("inf"))
            max_tokens = value

    choices = 1
    n = None if model.native else body.get("n")
    if n is not None and violations.check_type("/n", n, "integer"):
        violations.check_range("/n", n, 1, MAX_CHOICES)
        choices = n
    return Numbers(max_tokens, choices)


def _stop(model: Model, body: dict[str, Any], violations: Violations) -> tuple[str, ...]:
    """Stop sequences; native models ignore the field."""
    stop = body.get("stop")
    if model.native or stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list):
        violations.wrong_type("/stop", "array", stop)
        return ()
    if len(stops) > MAX_STOPS:
        violations.found.append(f"maxItems at '/stop' is {MAX_STOPS}, got {len(stops)}")
    for i, item in enumerate(stops):
        violations.check_type(f"/stop/{i}", item, "string")
    return tuple(item for item in stops if isinstance(item, str) and item)


def _tools(body: dict[str, Any], violations: Violations) -> list[Tool]:
    """Tools in OpenAI's nested spelling or the flat one."""
    raw_tools = body.get("tools")
    if raw_tools is None:
        return []
    if not violations.check_type("/tools", raw_tools, "array"):
        return []
    tools = []
    for i, raw in enumerate(raw_tools):
        path = f"/tools/{i}"
        function = raw.get("function", raw) if isinstance(raw, dict) else raw
        if not isinstance(function, dict):
            violations.wrong_type(path, "object", raw)
            continue
        name, description = function.get("name"), function.get("description", "")
        if not isinstance(name, str):
            violations.found.append(f"required properties at '{path}' are 'name'")
            continue
        if not isinstance(description, str):
            raise InvalidToolError(
                f"Invalid input: tools[{i}].function.description must be a string"
            )
        parameters = function.get("parameters") or ANY_OBJECT
        if violations.check_type(f"{path}/parameters", parameters, "object"):
            tools.append(Tool(name=name, description=description, parameters=parameters))
    return tools


def _tool_choice(body: dict[str, Any], tools: list[Tool]) -> tuple[str, str | None]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
        if any(tool.name == name for tool in tools):
            return "named", str(name)
        raise InvalidToolError(f"Invalid input: tool_choice names no tool of this call ({name})")
    if choice not in ("auto", "none", "required"):
        raise InvalidToolError(f"Invalid input: tool_choice '{choice}' is not supported")
    return choice, None


def _json_mode(model: Model, body: dict[str, Any]) -> tuple[bool, Schema | None]:
    """Whether JSON mode is on, and the schema to fit.

    Natives take the bare schema under `json_schema`; the others wrap it, though some take it bare.
    """
    guided = body.get("guided_json")
    if guided is not None and model.json_mode_how == "guided_json":
        return False, guided if isinstance(guided, dict) else ANY_OBJECT
    response_format = body.get("response_format") or {}
    kind = response_format.get("type")
    if kind in (None, "text"):
        return False, None
    if kind not in ("json_object", "json_schema"):
        raise BadInputError(
            f"enum {kind} not in json_object,json_schema at '/response_format/type'"
        )
    if model.native and model.json_mode_how != "response_format":
        raise JsonModeUnsupportedError
    if model.native and body.get("stream"):
        raise JsonModeStreamError
    schema = response_format.get("json_schema")
    if kind == "json_object" or not isinstance(schema, dict):
        if kind == "json_schema":
            raise BadInputError("required properties at '/response_format' are 'json_schema'")
        return True, ANY_OBJECT
    wrapped = schema.get("schema")
    return True, wrapped if isinstance(wrapped, dict) else schema
