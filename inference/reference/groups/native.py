"""Workers AI's own form."""

from typing import Any

from inference.reference.answers.catalog import NativeAnswer
from inference.reference.groups.common import EVENTS, FORM, JSON, calls_a_model, path_parameter
from inference.reference.operation import Body, Content, Example
from inference.reference.refusals import CALLS_A_MODEL, CONTEXT_LENGTH

_BYTES: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "description": "The sound, the image or the film itself. The model's options go into the "
    "query.",
}
_ANYTHING: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "What the model takes, as Cloudflare documents it. `options` and `requests` "
    "are refused; the model stands in the path.",
    "properties": {
        "stream": {
            "description": "Of chat models: the answer as server-sent events.",
        },
        "max_tokens": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Of chat models: the most it may write. 4096 unless told.",
        },
        "max_completion_tokens": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "The same, as newer models name it.",
        },
        "n": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 16,
            "description": "Of chat models in OpenAI's form: how many answers.",
        },
    },
}
_FORM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "Fields and files, as the model takes them.",
}

OPERATIONS = (
    calls_a_model(
        path="/v1/run/{name}",
        id="runModel",
        tag="Native",
        summary="Run a model in its own form",
        description="The model's own body, and its own answer in Cloudflare's envelope; metered "
        "and charged as everywhere else. For Workers AI's models alone.",
        parameters=(
            path_parameter(
                "name",
                "Our id, or Cloudflare's (`@cf/…`); its slashes may stand as they are.",
                "llama-3.3-70b-fast",
            ),
            {
                "name": "options",
                "in": "query",
                "required": False,
                "description": "Of models that take bytes: their options, each a parameter of "
                "its own.",
                "style": "form",
                "explode": True,
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "example": {},
            },
        ),
        bodies={
            JSON: Body(schema=_ANYTHING),
            FORM: Body(schema=_FORM),
            "audio/*": Body(schema=_BYTES),
            "image/*": Body(schema=_BYTES),
            "video/*": Body(schema=_BYTES),
            "application/octet-stream": Body(schema=_BYTES),
        },
        answers={
            JSON: Content((NativeAnswer,)),
            EVENTS: Content(
                when="With `stream`: the model's own events; ends in `data: [DONE]`.", is_text=True
            ),
            "audio/*": Content(when="Of models that speak."),
            "image/*": Content(when="Of models that draw."),
        },
        refusals=(*CALLS_A_MODEL, CONTEXT_LENGTH),
        examples=(
            Example(
                "A question",
                {"messages": [{"role": "user", "content": "What is the capital of Peru?"}]},
                path="/v1/run/llama-3.3-70b-fast",
            ),
        ),
    ),
)
