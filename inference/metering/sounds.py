"""Minutes of sound, for AI models that are priced by them: heard, or spoken."""

import binascii
import math
from base64 import b64decode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agentflare.concurrency import off_loop
from inference.audio.lengths.reader import Length, container_of, length_by_size, length_of
from inference.audio.lengths.walk import as_seconds
from inference.catalog.selectors import Offer
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

SPEECH = "tts"
_SECONDS_PER_MINUTE = 60
# Decoders fill up the last frame.
_SLACK_S = Decimal("0.1")
# The slowest that a text is spoken: a digit may be a word, and a mark a pause.
_SLOWEST_S_PER_CHARACTER = Decimal(1)
# As often as not.
_LIKELY_S_PER_CHARACTER = Decimal("0.07")
# Bytes of a sample, by the names that Deepgram has for bare ones.
_SAMPLE_BYTES = {"linear16": 2, "linear32": 4, "mulaw": 1, "alaw": 1}


def most_minutes(offer: Offer, request: UpstreamRequest) -> Decimal:
    """Longer than this the sound of a call cannot be, that it sends or is to make."""
    if offer.kind == SPEECH:
        return _SLOWEST_S_PER_CHARACTER * (1 + _characters(request)) / _SECONDS_PER_MINUTE
    most_s = sum((length.most_s for length in _sent(request)), _SLACK_S)
    return most_s / _SECONDS_PER_MINUTE


def minutes(
    offer: Offer, request: UpstreamRequest, *, result: Any, content: bytes
) -> tuple[Decimal, bool]:
    """The minutes a call is charged for where Cloudflare tells no neurons, and whether the model
    itself has told them. Never more than the sound can have, even one that lies of its length."""
    if offer.kind == SPEECH:
        spoken = _spoken_s(request, result, content) / _SECONDS_PER_MINUTE
        return min(spoken, most_minutes(offer, request)), False
    lengths = _sent(request)
    # A model that hears words in silence can hear them after the end.
    longest_s = sum((length.longest_s for length in lengths), _SLACK_S)
    told = told_seconds(result)
    seconds = told if told is not None else last_word_end(result)
    if seconds is None:
        seconds = sum((length.likely_s for length in lengths), Decimal(0))
    return min(seconds, longest_s) / _SECONDS_PER_MINUTE, told is not None


def told_seconds(result: Any) -> Decimal | None:
    """whisper-large-v3-turbo's own figure."""
    info = result.get("transcription_info") if isinstance(result, Mapping) else None
    return _seconds(info.get("duration")) if isinstance(info, Mapping) else None


def last_word_end(result: Any) -> Decimal | None:
    """Of Whisper's words, or of those of Deepgram's first alternative. None: there are none."""
    if not isinstance(result, Mapping):
        return None
    ends = [_seconds(word.get("end")) for word in words_in(result)]
    return max((end for end in ends if end is not None), default=None)


def words_in(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Wherever a model puts them."""
    yield from _objects(result.get("words"))
    for segment in _objects(result.get("segments")):
        yield from _objects(segment.get("words"))
    results = result.get("results")
    channels = results.get("channels") if isinstance(results, Mapping) else None
    for channel in _objects(channels):
        for alternative in list(_objects(channel.get("alternatives")))[:1]:
            yield from _objects(alternative.get("words"))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _seconds(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(str(value)) if math.isfinite(value) and 0 <= value < 10**7 else None


# --- sounds that are sent -----------------------------------------------------------


def _sent(request: UpstreamRequest) -> list[Length]:
    match request:
        case RawRequest():
            return [_bare_samples(request) or length_of(request.content)]
        case FormRequest():
            return [length_of(content) for _, content, _ in request.files.values()]
        case JsonRequest():
            return list(_media(request.body))


def _bare_samples(request: RawRequest) -> Length | None:
    """Deepgram takes samples without a header, if the query says what they are.

    What the query says of a file that has a header counts for nothing, and neither do more
    channels or samples than anybody has: ways to seem short.
    """
    width = _SAMPLE_BYTES.get(request.query.get("encoding", ""))
    hertz, channels = request.query.get("sample_rate", ""), request.query.get("channels", "1")
    if width is None or not (hertz + channels).isdecimal() or len(hertz + channels) > 9:
        return None
    if not int(hertz) or not int(channels) or container_of(request.content) is not None:
        return None
    size = len(request.content)
    if int(hertz) > _MOST_HERTZ:
        return length_by_size(size)
    most_s = as_seconds(Fraction(size, int(hertz) * width))
    likely_s = as_seconds(Fraction(size, int(hertz) * int(channels) * width))
    return Length(most_s, likely_s, most_s, is_exact=True)


def _media(value: Any) -> Iterator[Length]:
    """What may be a sound in a JSON document: base64, or a list of bytes."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _media(inner)
    elif isinstance(value, list):
        if value and isinstance(value[0], int | float):
            yield off_loop(lambda: _listed(value))
        else:
            for inner in value:
                yield from _media(inner)
    elif isinstance(value, str) and len(value) >= _SHORTEST_BASE64:
        content = decoded(value)
        if content is not None:
            yield length_of(content)
        elif len(value) > _LONGEST_OPTION:
            # Upstream may be able to read what we cannot.
            yield length_by_size(len(value))


def _listed(values: list[Any]) -> Length:
    """A byte is a number, also with a decimal point."""
    try:
        return length_of(bytes(int(value) & 0xFF for value in values))
    except (TypeError, ValueError, OverflowError):
        return length_by_size(len(values))


# Shorter ones are options: a language, a task, a prompt.
_SHORTEST_BASE64 = 64
_LONGEST_OPTION = 2_000
_MOST_HERTZ = 96_000


def decoded(text: str) -> bytes | None:
    """Base64, also behind a data URL's head, over several lines, without its padding, or of the
    kind for URLs: decoders take all of these. None for what is not."""
    if text[:5] == "data:":
        text = text.partition(",")[2]
    if len(text) < _SHORTEST_BASE64:
        return None
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    text = "".join(text.split()).rstrip("=").translate(_FROM_URLS)
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


_FROM_URLS = str.maketrans("-_", "+/")


# --- speech that is made ------------------------------------------------------------


def _characters(request: UpstreamRequest) -> int:
    if not isinstance(request, JsonRequest):
        return 0
    return len(str(request.body.get("prompt") or request.body.get("text") or ""))


def _spoken_s(request: UpstreamRequest, result: Any, content: bytes) -> Decimal:
    """As long as what came back; where that does not tell, as long as the text may take."""
    if not content and isinstance(result, Mapping) and isinstance(result.get("audio"), str):
        content = decoded(result["audio"]) or b""
    length = length_of(content)
    if not length.is_exact:
        return _LIKELY_S_PER_CHARACTER * _characters(request)
    return length.likely_s
