"""A speech's call upstream, as the pieces of its sound."""

from collections.abc import Iterator
from itertools import chain

from agentflare.concurrency import InterruptedWork, Interruptible
from agentflare.errors import UnsupportedParamError
from inference.attempts import Attempts, Target
from inference.audio.lengths.reader import container_of
from inference.audio.speech.params import AudioFormat
from inference.audio.speech.speakers import MEDIA_TYPES, speaker_of
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import Measured
from inference.metering.meter import Meter
from inference.metering.sounds import decoded
from inference.upstreams import client
from inference.upstreams.accounts import CallContext
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest


class UpstreamSpeech:
    """Calls the model, again where that is safe: until the first piece of its sound is here.

    media_type, used: what the sound is, and what the whole of it uses, from the first piece on.
    """

    def __init__(
        self,
        attempts: Attempts,
        *,
        meter: Meter,
        context: CallContext,
        asked_format: AudioFormat | None,
    ) -> None:
        self.media_type = ""
        self.used = Measured()
        self._attempts = attempts
        self._meter = meter
        self._context = context
        self._asked_format = asked_format
        self._answer: Answer | None = None
        self._sending: Interruptible[Answer] | None = None

    def open(self) -> Iterator[bytes]:
        """The sound, its first piece read. Raises UpstreamCallError, also in the middle."""
        target, first, rest = self._attempts.run(self._first_piece)
        return self._to_the_end(target, chain([first], rest))

    def abort(self) -> None:
        """Break off the call that runs, from any greenlet. Its reader sees a broken answer."""
        self._attempts.is_aborted = True
        if self._answer is not None:
            self._answer.abort()
        elif self._sending is not None:
            self._sending.interrupt()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()

    def _to_the_end(self, target: Target, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except (UpstreamCallError, *client.BROKEN) as exc:
            failure = client.as_failure(exc)
            if not self._attempts.is_aborted:
                self._attempts.failed(target, failure)
            raise failure from exc
        finally:
            self.close()

    def _first_piece(self, target: Target) -> tuple[Target, bytes, Iterator[bytes]]:
        answer = self._send(target)
        self._meter.answered(answer)
        self._answer = answer
        try:
            if self._attempts.is_aborted:
                raise UpstreamCallError.broken("broken off before the first piece")
            if speaker_of(target.offer).is_streamed:
                return target, *self._streamed(target, answer)
            return target, self._whole(target, answer), iter(())
        except BaseException:
            self._answer = None
            answer.close()
            raise

    def _send(self, target: Target) -> Answer:
        def send() -> Answer:
            return client.send(
                target.account,
                target.offer.upstream_model,
                target.prepared.work,
                context=self._context,
                reject_if_busy=target.reject_if_busy,
            )

        self._sending = Interruptible(send)
        try:
            return self._sending.result()
        except InterruptedWork:
            raise UpstreamCallError.broken("broken off before the first piece") from None
        finally:
            self._sending = None

    def _streamed(self, target: Target, answer: Answer) -> tuple[bytes, Iterator[bytes]]:
        if answer.is_json or answer.content_type.startswith("text/"):
            answer.content()  # raises: it is no sound
        pieces = answer.pieces()
        first = next(pieces, b"")
        if not first or client.is_document(first):
            raise UpstreamCallError.unreadable("no sound came back")
        request: JsonRequest = target.prepared.work
        self.media_type = MEDIA_TYPES[self._asked_format or "mp3"]
        self.used = native.used(target.offer, request, answer, result=None)
        return first, pieces

    def _whole(self, target: Target, answer: Answer) -> bytes:
        """Of a model that answers when all has been said: in JSON, or in bytes."""
        request: JsonRequest = target.prepared.work
        content = _sound_in(answer)
        container = container_of(content)
        if container is None:
            raise UpstreamCallError.unreadable("no sound in the answer")
        if self._asked_format not in (None, container.name):
            raise _another_format(target.offer, str(self._asked_format), container.name)
        self.media_type = container.media_type
        self.used = native.used(target.offer, request, answer, result=None, content=content)
        return content


def _sound_in(answer: Answer) -> bytes:
    if not answer.is_json:
        return answer.content()
    result = answer.result()
    audio = result.get("audio") if isinstance(result, dict) else None
    return (decoded(audio) if isinstance(audio, str) else None) or b""


def _another_format(offer: Offer, asked: str, made: str) -> UpstreamCallError:
    """No fault that a repeat would mend."""
    error = UnsupportedParamError(
        f"The model `{offer.name}` has made '{made}', not '{asked}'. "
        "Leave 'response_format' out to take what it makes.",
        param="response_format",
    )
    return UpstreamCallError(0, f"{made} came back instead of {asked}", error)
