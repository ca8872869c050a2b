"""Directives: what a test tells the stand-in to do with one request.

`[[sandbox {"text": "Lima.", "chunk_ms": 20}]]` anywhere in the newest user message, in any text of
a call of another kind, or in its bytes. The README lists the keys. An unknown key, a wrong type or
keys that exclude each other are refused, so that a misspelt test can't pass.
"""

import dataclasses
import re
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, TypeVar

import orjson

from sandbox.workers_ai.errors import DirectiveError

OPENING = re.compile(r"\[\[sandbox\s+")
CLOSING = re.compile(r"\s*\]\]")
FAILURE_IDS_KEPT = 10_000


class Absent:
    """Marks a key that was not given, where null is a value."""


ABSENT: Final = Absent()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call to answer with. `arguments` is text, valid JSON or not as a test wants it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ScriptedFailure:
    """An error to answer with. body: all of it, where its form is one of its own."""

    status: int
    code: int | str
    message: str
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Directive:
    """One request's script. Durations are in seconds here, in milliseconds on the wire.

    rest: the message's text without the directive.
    """

    rest: str = ""
    # Which calls the faults are for; what others get instead, if not simply no faults.
    account: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    otherwise: "Directive | None" = None
    # What to answer. At most one of text, echo, tokens and json.
    text: str | None = None
    echo: bool = False
    tokens: int | None = None
    json: Any = ABSENT
    reasoning: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish_reason: str | None = None
    # What to answer instead once a tool's result is the newest message.
    after_tools: "Directive | None" = None
    # How fast.
    delay_s: float = 0
    chunk_s: float = 0
    # What to report.
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)
    cached_tokens: int = 0
    no_usage: bool = False
    no_terminal_frame: bool = False
    # What Cloudflare's own books say instead: prompt_tokens, completion_tokens, neurons.
    billed: dict[str, Any] = dataclasses.field(default_factory=dict)
    # Of sound: how long an answer is, or how long what came counts as.
    duration_s: Decimal | None = None
    # How to fail.
    id: str | None = None
    error_times: int | None = None
    error: ScriptedFailure | None = None
    gateway_error: ScriptedFailure | None = None
    success_false: ScriptedFailure | None = None
    html: int | None = None
    hang: bool = False
    reset: bool = False
    truncated_json: bool = False
    cut_after: int | None = None
    end_after: int | None = None
    stall_after: int | None = None
    stall_s: float | None = None
    error_frame_after: int | None = None
    busy_s: float | None = None
    content_type: str | None = None
    # How many bytes of a binary answer go at a time.
    piece_bytes: int | None = None
    # Oddities that are no failures.
    plain_json_to_stream: bool = False
    numeric_chunks: bool = False
    null_chunks: bool = False
    no_envelope: bool = False

    @property
    def has_answer(self) -> bool:
        return (
            self.text is not None
            or self.echo
            or self.tokens is not None
            or self.json is not ABSENT
            or self.reasoning is not None
            or bool(self.tool_calls)
        )

    @property
    def scripted_text(self) -> str | None:
        """The text to answer with, by whichever key it was given."""
        if self.echo:
            return self.rest
        if self.tokens is not None:
            return " ".join(f"tok{number}" for number in range(1, self.tokens + 1))
        return self.text

    @property
    def chat_only_key(self) -> str | None:
        """A key given that means nothing to models of other kinds."""
        return next((key for key in CHAT_ONLY if getattr(self, key) != CHAT_ONLY[key]), None)

    def is_for(self, *, account: str, model_id: str) -> bool:
        return (not self.account or account in self.account) and (
            not self.model or model_id in self.model
        )

    @property
    def stream_only_key(self) -> str | None:
        """A key given that means nothing outside a stream."""
        keys = ("end_after", "stall_after", "error_frame_after")
        return next((key for key in keys if getattr(self, key) is not None), None)

    def without_faults(self) -> "Directive":
        return dataclasses.replace(self, **FAULTS_OFF)


FAULTS_OFF: Final[dict[str, Any]] = {
    "error": None,
    "gateway_error": None,
    "success_false": None,
    "html": None,
    "hang": False,
    "reset": False,
    "truncated_json": False,
    "cut_after": None,
    "end_after": None,
    "stall_after": None,
    "error_frame_after": None,
    "busy_s": None,
    "content_type": None,
}

CHAT_ONLY: Final[dict[str, Any]] = {
    "reasoning": None,
    "tool_calls": (),
    "finish_reason": None,
    "after_tools": None,
    "cached_tokens": 0,
    "plain_json_to_stream": False,
    "numeric_chunks": False,
    "null_chunks": False,
    "error_frame_after": None,
}

# Keys whose value is kept under another name, or has two.
WIRE_NAMES: Final = {
    "delay_s": "delay_ms",
    "chunk_s": "chunk_ms",
    "stall_s": "stall_ms",
    "busy_s": "busy",
    "no_terminal_frame": "no_usage",
}

KEYS: Final = frozenset(
    WIRE_NAMES.get(field.name, field.name)
    for field in dataclasses.fields(Directive)
    if field.name != "rest"
)

# Status and words by code. Those of 2008 and 2014 are not published: read as they are here.
GATEWAY_ERRORS: Final[dict[int | str, tuple[int, str]]] = {
    2003: (429, "Rate limited"),
    2008: (400, "Invalid provider"),
    2009: (401, "Unauthorized"),
    2014: (504, "Provider timed out"),
    2016: (424, "Prompt blocked due to security configurations"),
    2017: (424, "Response blocked due to security configurations"),
    2021: (402, "Insufficient credits"),
    2045: (429, "Spend limit exceeded"),
    7003: (404, "Model not found"),
    7009: (502, "Upstream unavailable"),
    7013: (503, "Service unavailable"),
}

GATEWAY_POLICIES: Final[dict[str, tuple[int, Any]]] = {
    "policy": (403, {"success": False, "error": {"message": "Access denied by policy"}}),
    "budget": (
        429,
        {
            "error": {
                "message": "Spending limit exceeded",
                "bucket": "default",
                "spent": 1.01,
                "limit": 1,
            }
        },
    ),
}

BILLED: Final = {"prompt_tokens", "completion_tokens", "neurons"}

ANSWERS: Final = ("text", "echo", "tokens", "json")


def find_directive(text: str) -> Directive:
    """The directive in `text`, or an empty one.

    Raises DirectiveError for one that can't be meant.
    """
    opening = OPENING.search(text)
    if opening is None:
        return Directive(rest=text)
    try:
        raw, end = JSONDecoder().raw_decode(text, opening.end())
    except JSONDecodeError as error:
        raise DirectiveError(f"not JSON: {error}") from error
    closing = CLOSING.match(text, end)
    if closing is None:
        raise DirectiveError("the JSON is not followed by ]]")
    rest = (text[: opening.start()] + text[closing.end() :]).strip()
    return parse(raw, rest=rest)


def without_directive(text: str) -> str:
    """The text a reader would see. A directive that makes no sense stays where it is."""
    try:
        return find_directive(text).rest
    except DirectiveError:
        return text


def parse(raw: Any, *, rest: str) -> Directive:
    if not isinstance(raw, dict):
        raise DirectiveError("not a JSON object")
    if unknown := sorted(raw.keys() - KEYS):
        raise DirectiveError(f"unknown key {', '.join(unknown)}")
    if len(given := [key for key in ANSWERS if key in raw]) > 1:
        raise DirectiveError(f"{' and '.join(given)} exclude each other")
    if "otherwise" in raw and not raw.keys() & {"account", "model"}:
        raise DirectiveError("otherwise needs account or model")
    if "error_times" in raw and "id" not in raw:
        raise DirectiveError("error_times needs id")
    take = Taker(raw)
    no_usage = raw.get("no_usage", False)
    if no_usage not in (True, False, "terminal"):
        raise DirectiveError('no_usage must be true, false or "terminal"')
    return Directive(
        rest=rest,
        account=take.names("account"),
        model=take.names("model"),
        otherwise=parse(raw["otherwise"], rest=rest) if "otherwise" in raw else None,
        text=take.text("text"),
        echo=take.flag("echo"),
        tokens=take.count("tokens"),
        json=raw.get("json", ABSENT),
        reasoning=take.text("reasoning"),
        tool_calls=tuple(map(_tool_call, take.items("tool_calls"))),
        finish_reason=take.text("finish_reason"),
        after_tools=parse(raw["after_tools"], rest=rest) if "after_tools" in raw else None,
        delay_s=take.seconds("delay_ms") or 0,
        chunk_s=take.seconds("chunk_ms") or 0,
        usage=take.members("usage"),
        cached_tokens=take.count("cached_tokens") or 0,
        no_usage=no_usage is True,
        no_terminal_frame=no_usage is not False,
        billed=_billed(take),
        duration_s=take.number("duration_s"),
        id=take.text("id"),
        error_times=take.count("error_times"),
        error=take.failure("error", ScriptedFailure(500, 3043, "Internal server error")),
        gateway_error=_gateway_failure(raw, take),
        success_false=take.failure(
            "success_false", ScriptedFailure(200, 3043, "Internal server error")
        ),
        html=_html_status(raw.get("html", False)),
        hang=take.flag("hang"),
        reset=take.flag("reset"),
        truncated_json=take.flag("truncated_json"),
        cut_after=take.count("cut_after"),
        end_after=take.count("end_after"),
        stall_after=take.count("stall_after"),
        stall_s=take.seconds("stall_ms"),
        error_frame_after=take.count("error_frame_after"),
        busy_s=None if (busy := take.number("busy")) is None else float(busy),
        content_type=take.text("content_type"),
        piece_bytes=take.positive("piece_bytes"),
        plain_json_to_stream=take.flag("plain_json_to_stream"),
        numeric_chunks=take.flag("numeric_chunks"),
        null_chunks=take.flag("null_chunks"),
        no_envelope=take.flag("no_envelope"),
    )


class Taker:
    """Takes values of a given type out of a JSON object; refuses others."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    def text(self, key: str) -> str | None:
        return self._typed(key, str, "a string")

    def flag(self, key: str) -> bool:
        return self._typed(key, bool, "true or false") or False

    def count(self, key: str) -> int | None:
        value = self._typed(key, int, "a whole number")
        if value is not None and (isinstance(value, bool) or value < 0):
            raise DirectiveError(f"{key} must be a whole number, 0 or more")
        return value

    def positive(self, key: str) -> int | None:
        value = self.count(key)
        if value == 0:
            raise DirectiveError(f"{key} must be 1 or more")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """One name or a list of them."""
        value = self._raw.get(key, [])
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DirectiveError(f"{key} must be a string or a list of strings")
        return tuple(names)

    def number(self, key: str) -> Decimal | None:
        """0 or more, with the digits it was written with."""
        value = self._raw.get(key)
        if key not in self._raw:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise DirectiveError(f"{key} must be a number of seconds")
        return Decimal(str(value))

    def seconds(self, key: str) -> float | None:
        value = self._raw.get(key)
        if key not in self._raw:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise DirectiveError(f"{key} must be a number of milliseconds")
        return value / 1000

    def items(self, key: str) -> list[Any]:
        return self._typed(key, list, "a list") or []

    def members(self, key: str) -> dict[str, Any]:
        return self._typed(key, dict, "an object") or {}

    def failure(self, key: str, default: ScriptedFailure) -> ScriptedFailure | None:
        """`true`, or an object with any of status, code, message."""
        if self._raw.get(key, False) is False:
            return None
        if self._raw[key] is True:
            return default
        given = self.members(key)
        if unknown := sorted(given.keys() - {"status", "code", "message"}):
            raise DirectiveError(f"{key} has unknown key {', '.join(unknown)}")
        failure = dataclasses.replace(default, **given)
        has_types = (
            isinstance(failure.status, int)
            and isinstance(failure.code, int | str)
            and isinstance(failure.message, str)
        )
        if not has_types or not 200 <= failure.status <= 599:
            raise DirectiveError(f"{key} needs a status of 200 to 599, a code and a message")
        return failure

    def _typed(self, key: str, kind: type[T], wanted: str) -> T | None:
        if key not in self._raw:
            return None
        value = self._raw[key]
        if not isinstance(value, kind):
            raise DirectiveError(f"{key} must be {wanted}")
        return value


def _tool_call(raw: Any) -> ScriptedCall:
    if (
        not isinstance(raw, dict)
        or raw.keys() - {"name", "arguments"}
        or not isinstance(raw.get("name"), str)
    ):
        raise DirectiveError("a tool call has name and arguments")
    arguments = raw.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return ScriptedCall(name=raw["name"], arguments=arguments)


def _billed(take: Taker) -> dict[str, Any]:
    billed = take.members("billed")
    if unknown := sorted(billed.keys() - BILLED):
        raise DirectiveError(f"billed has unknown key {', '.join(unknown)}")
    for key, value in billed.items():
        kind = int | float if key == "neurons" else int
        if isinstance(value, bool) or not isinstance(value, kind) or value < 0:
            raise DirectiveError(f"{key} in billed must be a number, 0 or more")
    return billed


def _gateway_failure(raw: dict[str, Any], take: Taker) -> ScriptedFailure | None:
    """An error of AI Gateway; a known code brings its status and its words.

    "policy" and "budget" are the forms of their own that its policies have.
    """
    given = raw.get("gateway_error")
    if isinstance(given, str):
        if given not in GATEWAY_POLICIES:
            raise DirectiveError("gateway_error as a string is policy or budget")
        status, body = GATEWAY_POLICIES[given]
        return ScriptedFailure(status, given, "", body=body)
    code = given.get("code", 2003) if isinstance(given, dict) else 2003
    status, message = GATEWAY_ERRORS.get(code, (429, "Rate limited"))
    return take.failure("gateway_error", ScriptedFailure(status, code, message))


def _html_status(value: Any) -> int | None:
    if value is True:
        return 524
    if value is False:
        return None
    if isinstance(value, int) and 400 <= value <= 599:
        return value
    raise DirectiveError("html must be true or a status of 400 to 599")


class FailureCounts:
    """How often each `id` has failed so far, for directives that fail a number of times."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def armed(self, directive: Directive, *, account: str, model_id: str) -> Directive:
        """The directive as it applies to this call.

        Without faults once they are used up, or where it is for other accounts or models.
        """
        if not directive.is_for(account=account, model_id=model_id):
            if directive.otherwise is None:
                return directive.without_faults()
            return self.armed(directive.otherwise, account=account, model_id=model_id)
        if directive.id is None or directive.error_times is None:
            return directive
        failed = self._counts.get(directive.id, 0)
        if failed >= directive.error_times:
            return directive.without_faults()
        self._counts[directive.id] = failed + 1
        if len(self._counts) > FAILURE_IDS_KEPT:
            self._counts.popitem(last=False)
        return directive

    def clear(self) -> None:
        self._counts.clear()
