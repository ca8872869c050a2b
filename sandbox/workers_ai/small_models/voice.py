"""hibari-tts: an English voice, put into the encoding that is wanted by PyAV."""

import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sandbox.workers_ai.small_models.host import Host

# PyAV's codec and file format by encoding. Opus and AAC take samples in forms of their own.
CODECS = {
    "mp3": ("libmp3lame", "mp3"),
    "opus": ("libopus", "ogg"),
    "flac": ("flac", "flac"),
    "aac": ("aac", "adts"),
    "linear16": ("pcm_s16le", "s16le"),
    "mulaw": ("pcm_mulaw", "mulaw"),
    "alaw": ("pcm_alaw", "alaw"),
}


class Voice(Host):
    name = "voice"
    fingerprint = "sandbox-hibari-heart"
    packages = ("hibari", "av")

    async def speak(
        self, text: str, *, encoding: str, container: str, rate: int, bit_rate: int | None
    ) -> tuple[bytes, Decimal]:
        """The file and how long it is. Raises LocalModelError."""
        spoken: tuple[bytes, Decimal] = await self.ask(
            text=text, encoding=encoding, container=container, rate=rate, bit_rate=bit_rate
        )
        return spoken


def load() -> Callable[..., Any]:
    """In the child: the voice, ready. Only `heart` is in its package; others are downloaded."""
    import hibari  # type: ignore[import-not-found]  # of the extra

    voice = hibari.Hibari(voice="heart", threads=1)

    def answer(text: str, **form: Any) -> tuple[bytes, Decimal]:
        samples = voice(text, seed=0)
        return encoded(samples, hibari.SAMPLE_RATE, **form)

    return answer


def encoded(
    samples: Any,
    source_rate: int,
    *,
    encoding: str,
    container: str,
    rate: int,
    bit_rate: int | None,
) -> tuple[bytes, Decimal]:
    """Mono samples from -1 to 1 as a file."""
    import av  # type: ignore[import-not-found]  # of the extra
    import numpy as np  # type: ignore[import-not-found]

    from sandbox.workers_ai.audio.sounds import seconds

    codec, file_format = CODECS[encoding]
    if container == "wav":
        file_format = "wav"
    # A text without a word in it gives no samples, and a file needs some.
    samples = samples if len(samples) else np.zeros(source_rate // 10, np.float32)
    whole = np.clip(samples * 32_767, -32_768, 32_767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(whole[None, :], format="s16", layout="mono")
    frame.sample_rate = source_rate
    target = io.BytesIO()
    with av.open(target, "w", format=file_format) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format or "s16",
            layout="mono",
            rate=rate,
            frame_size=stream.codec_context.frame_size or None,
        )
        total = 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            total += piece.samples
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return target.getvalue(), seconds(total, rate)
