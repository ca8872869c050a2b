"""A native stream: frames as they come, read on the way to know what was delivered."""

import logging
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any

from billing.prices.models import Unit
from billing.usage.models import Status, Truth
from inference.attempts import Target
from inference.chat.events import Usage
from inference.chat.reader import AnswerReader
from inference.chat.shape import DONE, chunk
from inference.metering import native
from inference.metering.measured import Measured
from inference.pipeline import Call, admit_call
from inference.run.task import NativeTask, without_neurons
from inference.upstreams import client
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError

logger = logging.getLogger(__name__)


class NativeStreamRun:
    """As ChatRun, without a shape of ours: what the model sends is what the client reads."""

    def __init__(self, call: Call, task: NativeTask) -> None:
        self.admitted = admit_call(call, prepare=task.prepare)
        self.meter = self.admitted.meter
        self._request = task.request
        self._reader = AnswerReader(output_cap=2**31)
        self._answer: Answer | None = None
        self._frames: Iterator[dict[str, Any]] = iter(())
        self._delivered = False
        self._client_gone = False
        if not call.is_idempotent:
            self.meter.used_so_far = self._delivered_use

    def start(self) -> None:
        """Raises GatewayError; then the call is recorded, and costs nothing."""
        try:
            self._answer, first, rest = self.admitted.attempts.run(self._open)
        except UpstreamCallError as failure:
            self._fail(failure)
            raise failure.error from failure
        except BaseException:
            self.meter.finish(
                status=Status.UPSTREAM_FAILED, used=Measured(), error_code="internal_error"
            )
            raise
        self._frames = chain([] if first is None else [first], rest)

    def _open(
        self, target: Target
    ) -> tuple[Answer, dict[str, Any] | None, Iterator[dict[str, Any]]]:
        (request,) = target.prepared.work
        answer = client.send(
            target.account,
            target.offer.upstream_model,
            request,
            context=self.admitted.call.context,
            reject_if_busy=target.reject_if_busy,
        )
        self.meter.answered(answer)
        try:
            frames = answer.frames() if answer.is_stream else iter([whole(answer.result())])
            return answer, next(frames, None), frames
        except BaseException:
            answer.close()
            raise

    def chunks(self) -> Iterator[bytes]:
        answer = self._answer
        assert answer is not None
        try:
            for frame in self._frames:
                if self.meter.hold.lost or self._client_gone:
                    raise UpstreamCallError.broken("broken off by us")
                self._read(frame)
                yield chunk(without_neurons(frame))
            if answer.is_stream:
                list(self._reader.finish_stream(saw_done=answer.saw_done))
            self._capture(Status.COMPLETED if self._reader.has_output else Status.EMPTY)
            yield DONE
        except (UpstreamCallError, *client.BROKEN) as exc:
            failure = client.as_failure(exc)
            self._fail(failure)
            if not self._client_gone:
                yield chunk(failure.error.body())
        finally:
            self.close()

    def _read(self, frame: dict[str, Any]) -> None:
        """Measure what passes. Raises UpstreamCallError for an error inside the stream."""
        if is_whole(frame):
            events = self._reader.read_result(frame)
        else:
            events = self._reader.read_frames([frame])
        for _ in events:
            if not self._delivered:
                self._delivered = True
                self.meter.first_token()

    def client_left(self) -> None:
        self._client_gone = True
        self.admitted.attempts.is_aborted = True
        if self._answer is not None:
            self._answer.abort()

    def close(self) -> None:
        """End the run wherever it is. A repeat changes nothing."""
        if self._answer is not None:
            self._answer.close()
        if self.meter.captured is None:
            self.meter.finish(status=Status.CLIENT_GONE, used=self._delivered_use())

    def headers(self) -> dict[str, str]:
        return self.admitted.headers()

    # --- money ------------------------------------------------------------------

    def _capture(self, status: Status) -> None:
        usage = self._reader.usage()
        # A prompt of no tokens is a fault of whoever counted.
        if usage is None or not usage.prompt_tokens:
            self.meter.finish(status=status, used=self._delivered_use())
            return
        self.meter.finish(status=status, used=self._believable(usage).measured(Truth.PROVIDER))

    def _fail(self, failure: UpstreamCallError) -> None:
        if self._client_gone:
            self.close()
            return
        logger.warning("Upstream failed: %s", failure.detail)
        self.meter.finish(
            status=Status.UPSTREAM_BROKE if self._delivered else Status.UPSTREAM_FAILED,
            used=self._delivered_use(),
            upstream_request_id=failure.request_id,
            error_code=failure.error.code or failure.error.type,
        )

    def _delivered_use(self) -> Measured:
        if not self._delivered:
            return Measured()
        usage = self._reader.usage() or Usage(completion_tokens=self._reader.counted_tokens)
        usage.neurons = None
        usage.prompt_tokens = usage.prompt_tokens or self._likely_prompt_tokens
        return self._believable(usage).measured(Truth.COUNTED)

    @cached_property
    def _likely_prompt_tokens(self) -> int:
        return native.likely_input_tokens(native.fields_of(self._request))

    def _believable(self, usage: Usage) -> Usage:
        """Never more than was held for."""
        most = self.meter.most
        usage.prompt_tokens = min(usage.prompt_tokens, int(4 * most[Unit.INPUT_TOKENS]))
        usage.cached_tokens = min(usage.cached_tokens, usage.prompt_tokens)
        usage.completion_tokens = min(usage.completion_tokens, int(most[Unit.OUTPUT_TOKENS]))
        return usage


def whole(result: Any) -> dict[str, Any]:
    """Plain JSON in place of a stream. Raises UpstreamCallError."""
    if not isinstance(result, dict) or not result:
        raise UpstreamCallError.unreadable("an answer without a result")
    return result


def is_whole(frame: dict[str, Any]) -> bool:
    """Whether it is a completion and no chunk of one, whatever else upstream puts there."""
    match frame.get("choices"):
        case [{"message": _}, *_]:
            return True
    return False
