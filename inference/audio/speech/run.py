"""An admitted speech: started, passed on as it comes, captured once.

What it costs is known before it begins, by its characters (or, where a model is priced by the
minute, once its sound is there). So no part of it has a price: a client that leaves has had made
what it asked for, and a sound that breaks off on our side costs nothing.
"""

import logging
from collections.abc import Iterator

from billing.admission import stops
from billing.usage.models import Status
from inference.attempts import Prepared
from inference.audio.speech.dialects import PlainSound, SoundEvents, SpeechDialect
from inference.audio.speech.params import SpeechParams
from inference.audio.speech.speakers import request_for
from inference.audio.speech.upstream import UpstreamSpeech
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import Measured
from inference.pipeline import Admitted, require_kind
from inference.stopping import require_running, status_of, true_cause
from inference.upstreams.failures import UpstreamCallError

logger = logging.getLogger(__name__)
ENDPOINT = "audio/speech"
KINDS = ("tts",)


def prepare_speech(params: SpeechParams, offer: Offer) -> Prepared:
    """Raises NotFoundError, InvalidRequestError or UnsupportedParamError."""
    require_kind(offer, KINDS, endpoint=ENDPOINT)
    request = request_for(offer, params)
    return Prepared(offer, native.most(offer, request), request)


class SpeechRun:
    """`start` it, then read it with `chunks`, once."""

    def __init__(self, admitted: Admitted, params: SpeechParams) -> None:
        self.admitted = admitted
        self.meter = admitted.meter
        self.dialect: SpeechDialect = SoundEvents(params.input) if params.is_sse else PlainSound()
        self.upstream = UpstreamSpeech(
            admitted.attempts,
            meter=admitted.meter,
            context=admitted.call.context,
            asked_format=params.response_format,
        )
        self._pieces: Iterator[bytes] = iter(())
        self._delivered = False
        self._client_gone = False

    @property
    def content_type(self) -> str:
        """Once it has started."""
        return self.dialect.content_type(self.upstream.media_type)

    def start(self) -> None:
        """Call, and wait for the first piece of the sound.

        Raises GatewayError; then the call is recorded, and costs nothing.
        """
        stops.watch(self.meter.hold, self.upstream.abort)
        try:
            self._pieces = self.upstream.open()
        except UpstreamCallError as failure:
            raise self._fail(failure).error from failure
        except BaseException:
            self.meter.finish(
                status=Status.UPSTREAM_FAILED, used=Measured(), error_code="internal_error"
            )
            raise

    def chunks(self) -> Iterator[bytes]:
        """To the end. Where upstream breaks off there is no end: see the dialects."""
        try:
            for piece in self._pieces:
                self._look_out()
                if not self._delivered:
                    self._delivered = True
                    self.meter.first_token()
                yield self.dialect.write(piece)
            self.meter.finish(status=Status.COMPLETED, used=self.upstream.used)
            if end := self.dialect.end(self.admitted.told()):
                yield end
        except UpstreamCallError as failure:
            failure = self._fail(failure)
            if not self._client_gone:
                yield self.dialect.error(failure)
        finally:
            self.close()

    def client_left(self) -> None:
        """The client has closed its connection: stop upstream's work at once."""
        self._client_gone = True
        self.upstream.abort()

    def close(self) -> None:
        """End the run wherever it is. Nothing delivered, nothing owed; a repeat changes
        nothing."""
        if self.meter.captured is None:
            self.upstream.abort()
            used = self.upstream.used if self._delivered else Measured()
            self.meter.finish(status=Status.CLIENT_GONE, used=used)
        self.upstream.close()

    def headers(self) -> dict[str, str]:
        return self.admitted.headers()

    def _look_out(self) -> None:
        require_running(self.meter.hold)
        if self._client_gone:
            raise UpstreamCallError.broken("the client has left")

    def _fail(self, failure: UpstreamCallError) -> UpstreamCallError:
        """Upstream failed. Returns what the client is told.

        An answer that we broke off because the client has left fails too.
        """
        if self._client_gone:
            self.close()
            return failure
        failure = true_cause(failure, self.meter.hold)
        logger.warning("The call failed: %s", failure.log_line)
        error = failure.error
        self.meter.finish(
            status=status_of(failure, delivered=self._delivered),
            used=Measured(),
            upstream_request_id=failure.request_id,
            error_code=error.code or error.type,
        )
        return failure
