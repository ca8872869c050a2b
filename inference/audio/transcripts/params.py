"""The forms of POST /v1/audio/transcriptions and /v1/audio/translations."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from inference.inputs import ModelName, told

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]


def _as_list(value: Any) -> Any:
    """A list of one that was sent without brackets."""
    return [value] if isinstance(value, str) else value


def _as_object(value: Any) -> Any:
    """curl sends an object as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise ValueError("it is neither 'auto' nor an object") from None
    return value


class _SoundForm(BaseModel):
    """What both have. Not strict: a form's values are text."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName
    prompt: str | None = None
    response_format: ResponseFormat = "json"
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, values: Any) -> Any:
        """Forms of browsers send all their fields."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != "" or name == "model"}


class TranslationParams(_SoundForm):
    pass


class TranscriptionParams(_SoundForm):
    language: str | None = None
    stream: bool | None = None
    timestamp_granularities: (
        Annotated[list[Literal["word", "segment"]], BeforeValidator(_as_list)] | None
    ) = None
    # 'auto' or an object: looked at in `check`.
    chunking_strategy: Annotated[
        Any,
        BeforeValidator(_as_object),
        WithJsonSchema(
            {
                "anyOf": [
                    {"enum": ["auto"]},
                    {
                        "type": "object",
                        "properties": {"type": {"enum": ["server_vad", "auto"]}},
                        "required": ["type"],
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ] = None
    include: Annotated[list[str], BeforeValidator(_as_list), told(maxItems=0)] | None = None
    # Of OpenAI's own newest models.
    keywords: None = None
    languages: None = None
    known_speaker_names: None = None
    known_speaker_references: None = None

    @property
    def wants_words(self) -> bool:
        return "word" in (self.timestamp_granularities or [])

    @property
    def wants_segments(self) -> bool:
        return "segment" in (self.timestamp_granularities or ["segment"])

    @property
    def server_vad(self) -> bool:
        return isinstance(self.chunking_strategy, dict)

    def check(self) -> None:
        """What pydantic does not see. Raises InvalidRequestError."""
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise InvalidRequestError(
                "'timestamp_granularities' needs 'response_format' to be 'verbose_json'.",
                param="timestamp_granularities",
                code="invalid_value",
            )
        if self.stream and self.response_format not in ("json", "text"):
            raise InvalidRequestError(
                f"The response format '{self.response_format}' cannot be streamed. Use 'json' or "
                "'text', or leave 'stream' out.",
                param="response_format",
                code="invalid_value",
            )
        if self.include:
            raise UnsupportedParamError(
                "The models here tell no log probabilities: 'include' is not supported.",
                param="include",
            )
        self._check_chunking()

    def _check_chunking(self) -> None:
        strategy = self.chunking_strategy
        if isinstance(strategy, dict) and strategy.get("type") == "server_vad":
            if others := sorted(set(strategy) - {"type"}):
                raise UnsupportedParamError(
                    f"'chunking_strategy.{others[0]}' is not supported.",
                    param=f"chunking_strategy.{others[0]}",
                )
        elif strategy not in (None, "auto", {"type": "auto"}):
            raise InvalidRequestError(
                "Invalid value for 'chunking_strategy': it must be 'auto', or an object with the "
                "type 'server_vad'.",
                param="chunking_strategy",
                code="invalid_value",
            )
