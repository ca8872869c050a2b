"""Turn detection: whether somebody has finished speaking, by whether it ends in silence."""

from decimal import Decimal

from sandbox.workers_ai.audio.sounds import read_sound, seconds
from sandbox.workers_ai.errors import BadInputError
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import RULES_FINGERPRINT, Call, Outcome

RATE_HZ = 16_000
BYTES_PER_SAMPLE = {"uint8": 1, "float32": 4, "float64": 8}


async def detect_turn(call: Call) -> Outcome:
    """A directive's `text` is "complete" or "incomplete"."""
    if call.body.is_raw or call.body.is_form:
        raise BadInputError("the body is not valid JSON")
    fields = Fields(call.body.fields)
    fields.require("audio")
    content = fields.base64("audio") if "audio" in fields.raw else b""
    dtype = fields.choice("dtype", tuple(BYTES_PER_SAMPLE), default="float32")
    fields.refuse_wrong()

    duration_s = call.directive.duration_s or length_of(content, dtype)
    # The last fifth of it: silence is one value, repeated.
    end = content[-len(content) // 5 :]
    is_complete = len(set(end)) <= 1
    if call.directive.text is not None:
        is_complete = call.directive.text == "complete"
    result = {"is_complete": is_complete, "probability": 0.9 if is_complete else 0.1}
    neurons = call.audio_neurons(duration_s)
    return Outcome(source=RULES_FINGERPRINT, result=result, neurons=neurons, audio_s=duration_s)


def length_of(content: bytes, dtype: str) -> Decimal:
    if (sound := read_sound(content)) is not None:
        return sound.duration_s
    return seconds(len(content) // BYTES_PER_SAMPLE[dtype], RATE_HZ)
