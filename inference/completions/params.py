"""The body of POST /v1/completions: OpenAI's older way to ask for text."""

from typing import Annotated

from pydantic import Field

from agentflare.errors import InvalidRequestError
from inference.chat.params import Cap, Stop, StreamOptions
from inference.inputs import ModelName, Params, TextInput
from inference.numbers import WHOLE

# OpenAI's own default, which clients of this endpoint know.
DEFAULT_MAX_TOKENS = 16
MAX_PROMPTS = 32


class CompletionParams(Params):
    model: ModelName
    prompt: TextInput

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Cap | None = None
    n: Annotated[int, Field(ge=1, le=16), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1, le=20), WHOLE] | None = None
    echo: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    stop: Stop | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = None

    # Known to Workers AI's engines, not to OpenAI's.
    top_k: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None

    user: str | None = None
    # Known, and not to be had here: null alone.
    suffix: None = None

    @property
    def choices(self) -> int:
        return self.n or 1

    def capped(self, cap: int) -> "CompletionParams":
        """The same, with an output cap that is lower than its own."""
        return self.model_copy(update={"max_tokens": cap})

    @property
    def stops(self) -> list[str]:
        """Without empty strings, which would stop everything."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def check(self, prompts: list[str]) -> None:
        """Rules between fields. Raises InvalidRequestError."""
        if len(prompts) > MAX_PROMPTS:
            raise InvalidRequestError(
                f"At most {MAX_PROMPTS} prompts are taken at once.",
                param="prompt",
                code="array_above_max_length",
            )
        if self.best_of is not None and self.best_of > self.choices:
            raise InvalidRequestError(
                "'best_of' above 'n' is not supported: ask for several with 'n'.", param="best_of"
            )
        if self.stream_options is not None and not self.stream:
            raise InvalidRequestError(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
