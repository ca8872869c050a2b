"""A sound, heard."""

from inference.attempts import Prepared
from inference.audio.transcripts.answers import read_transcript
from inference.audio.transcripts.files import Sound
from inference.audio.transcripts.listeners import TRANSLATE, Wish, listener_of, request_for
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.requests import UpstreamRequest

KINDS = ("asr",)


class TranscriptTask:
    def __init__(self, sound: Sound, wish: Wish, *, endpoint: str) -> None:
        self.sound = sound
        self.wish = wish
        self.endpoint = endpoint

    def prepare(self, offer: Offer) -> Prepared:
        """Raises NotFoundError, InvalidRequestError or UnsupportedParamError."""
        require_kind(offer, KINDS, endpoint=self.endpoint)
        request = request_for(offer, self.sound, self.wish)
        return Prepared(offer, native.most(offer, request), [request])

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        result = answer.result()
        length = self.sound.length
        transcript = read_transcript(
            result,
            language="en" if self.wish.task == TRANSLATE else self._named_language(offer),
            measured_s=float(length.likely_s) if length.is_exact else None,
        )
        return Part(transcript, native.used(offer, request, answer, result=result))

    def _named_language(self, offer: Offer) -> str:
        return self.wish.language or listener_of(offer).only
