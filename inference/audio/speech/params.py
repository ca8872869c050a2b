"""The body of POST /v1/audio/speech."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from agentflare.errors import UnsupportedParamError
from inference.inputs import ModelName, Params, told

# As many as OpenAI takes.
MAX_CHARACTERS = 4096
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class VoiceId(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(min_length=1, max_length=100)]


Voice = Annotated[
    Annotated[str, Field(min_length=1, max_length=100), Tag(":name")]
    | Annotated[VoiceId, Tag(":object")],
    Discriminator(
        lambda value: ":name" if isinstance(value, str) else ":object",
        custom_error_type="neither_of_both",
        custom_error_message="it must be a voice's name, or an object with its id",
    ),
]


class SpeechParams(Params):
    model: ModelName
    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    voice: Voice
    response_format: AudioFormat | None = None
    stream_format: Literal["audio", "sse"] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4.0), told(enum=[1])] | None = None
    # A hint, which clients of models that take some send along.
    instructions: str | None = None

    @property
    def voice_name(self) -> str:
        return self.voice if isinstance(self.voice, str) else self.voice.id

    @property
    def is_sse(self) -> bool:
        return self.stream_format == "sse"

    def check(self) -> None:
        """What no model here can do, and what changes the sound, is refused.

        Raises UnsupportedParamError.
        """
        if self.speed not in (None, 1.0):
            raise UnsupportedParamError(
                "The voices here speak at their own speed: 'speed' can only be 1.", param="speed"
            )
