"""The body of POST /v1/moderations."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from inference.inputs import MAX_INPUTS, ModelName, Params

# What OpenAI calls its own; ours answers in their place.
OPENAI_NAMES = {
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
}


class ModerationText(Params):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]


def _form(value: Any) -> str:
    if not isinstance(value, list):
        return ":text"
    return ":parts" if value and isinstance(value[0], dict) else ":texts"


class ModerationParams(Params):
    model: ModelName | None = None
    input: Annotated[
        Annotated[str, Tag(":text")]
        | Annotated[list[str], Field(min_length=1, max_length=MAX_INPUTS), Tag(":texts")]
        | Annotated[list[ModerationText], Field(min_length=1), Tag(":parts")],
        Discriminator(
            _form,
            custom_error_type="neither_of_both",
            custom_error_message="it must be a string, an array of strings, or text parts",
        ),
    ]

    def texts(self) -> list[str]:
        """One for each result: parts are one input together."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], ModerationText):
            parts = [part.text for part in self.input if isinstance(part, ModerationText)]
            return ["\n".join(parts)]
        return [text for text in self.input if isinstance(text, str)]
