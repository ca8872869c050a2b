"""Headers: those a request may have, and those an answer has."""

from inference.idempotency.once import MAX_KEY_LENGTH
from inference.reference.schemas import Schema
from inference.views import CACHE_HEADER, SHRINK_HEADER

_USD: Schema = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{9}$"}
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "string", "pattern": "^[0-9]+$"}

_SPAN: Schema = {"type": "string", "examples": ["0s", "120ms", "1m1s"]}

# Every answer has these.
ALWAYS = ("x-request-id",)
OPENAI = ("openai-processing-ms", "openai-version")
ANTHROPIC = ("request-id",)
# An answer to somebody with limits.
LIMITS = tuple(
    f"x-ratelimit-{what}-{kind}"
    for kind in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
# An answer of a model.
CALL = (
    "X-Estimated-Cost",
    "X-Request-Cost",
    "X-Balance-Remaining",
    "x-agentflare-model",
    "x-agentflare-attempts",
    "x-agentflare-cache",
    "x-agentflare-max-tokens",
    *LIMITS,
)
REPEAT = ("Idempotent-Replayed", "x-agentflare-original-request-id")

ANSWER_HEADERS: dict[str, tuple[str, Schema]] = {
    "x-request-id": ("The request's id, which the usage record has too.", _TEXT),
    "request-id": ("The same id, under Anthropic's name.", _TEXT),
    "openai-processing-ms": ("Milliseconds until the answer began.", _NUMBER),
    "openai-version": ("The version of OpenAI's API that is spoken.", _TEXT),
    "X-Estimated-Cost": ("Dollars: the most the call could cost, held before it.", _USD),
    "X-Request-Cost": ("Dollars: what it did cost. Not where the answer is streamed.", _USD),
    "X-Balance-Remaining": (
        "Dollars: what is available for the next call. Not where it cannot be read, nor with a "
        "repeated answer.",
        _USD,
    ),
    "x-agentflare-model": ("The model that answered: of a route, one of several.", _TEXT),
    "x-agentflare-attempts": ("How many attempts it took.", _NUMBER),
    "x-agentflare-cache": (
        "Whether AI Gateway's cache answered.",
        {"type": "string", "examples": ["NONE", "MISS", "HIT"]},
    ),
    "x-agentflare-max-tokens": (
        "Where the output cap was lowered to what the credit pays for: the cap.",
        _NUMBER,
    ),
    **{
        f"x-ratelimit-{what}-{kind}": (f"{meaning} {of}, where that is limited.", schema)
        for kind, of in (("requests", "of requests a minute"), ("tokens", "of tokens a minute"))
        for what, meaning, schema in (
            ("limit", "The limit", _NUMBER),
            ("remaining", "What is left", _NUMBER),
            ("reset", "How long, without further calls, until all is free again", _SPAN),
        )
    },
    "Idempotent-Replayed": (
        "Where the answer is the one that an earlier request with the `Idempotency-Key` got.",
        {"const": "true"},
    ),
    "x-agentflare-original-request-id": ("The id of that earlier request.", _TEXT),
    "retry-after": ("Seconds to wait before you ask again.", _NUMBER),
    "retry-after-ms": ("The same in milliseconds; it wins where a client knows it.", _NUMBER),
    "x-should-retry": ("`false`: asking again is of no use.", {"enum": ["true", "false"]}),
    "Allow": ("The methods that this path has.", _TEXT),
}

# Without examples: tools that try them out would use the same key again and again.
REQUEST_HEADERS: dict[str, Schema] = {
    "Idempotency-Key": {
        "description": "A text of your own (`order-4711`), new for every new request: a repeat "
        "with it gets the first answer, and nothing is called or charged again. "
        "See “Repeating a request”.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    },
    CACHE_HEADER: {
        "description": "How old, in seconds, an answer from the cache may be: 60 to 2592000, or 0 "
        "for none. It stands before what is set for the API key.",
        "schema": {
            "type": "integer",
            "anyOf": [{"const": 0}, {"minimum": 60, "maximum": 2_592_000}],
        },
    },
    SHRINK_HEADER: {
        "description": "`true`: where the credit does not pay for the call, lower its output cap "
        "to what it pays for instead of refusing it; `x-agentflare-max-tokens` tells. `false`: "
        "never. It stands before what is set for the workspace.",
        "schema": {"enum": ["true", "false"]},
    },
    "anthropic-version": {
        "description": "Where it is sent, as Anthropic's clients do (`2023-06-01`), the answer is "
        "in Anthropic's form.",
        "schema": {"type": "string"},
    },
}


def answer_header_components() -> dict[str, Schema]:
    return {
        name: {"description": description, "schema": schema}
        for name, (description, schema) in ANSWER_HEADERS.items()
    }


def parameter_components() -> dict[str, Schema]:
    return {
        name: {"name": name, "in": "header", "required": False, **told}
        for name, told in REQUEST_HEADERS.items()
    }
