"""The file of a form, looked at before anything is asked of a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentflare.errors import InvalidRequestError
from agentflare.multipart import FormFile
from inference.audio.lengths.reader import Length, container_of, length_of

_EXTENSIONS = [
    "aac",
    "flac",
    "m4a",
    "mp3",
    "mp4",
    "mpeg",
    "mpga",
    "oga",
    "ogg",
    "opus",
    "wav",
    "webm",
]


@dataclass(frozen=True, slots=True)
class Sound:
    """media_type: by its bytes; what clients say of it is often wrong or nothing."""

    content: bytes
    media_type: str
    length: Length


def the_sound(files: Sequence[FormFile]) -> Sound:
    """Raises InvalidRequestError naming `file`."""
    if not files:
        raise InvalidRequestError(
            "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
        )
    if len(files) > 1:
        raise _refusal("only one file can be heard at a time.")
    content = files[0].content
    if not content:
        raise _refusal("the file is empty.")
    # The bytes decide, not the name: many clients have none to give.
    container = container_of(content)
    if container is None:
        raise InvalidRequestError(
            f"Invalid file format. Supported formats: {_EXTENSIONS}", param="file"
        )
    return Sound(content, container.media_type, length_of(content))


def _refusal(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid value for 'file': {why}", param="file", code="invalid_value"
    )
