"""A native stream: frames as they come, read on the way to know what was delivered."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

from billing.admission import stops
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
from inference.stopping import require_running, status_of, true_cause
from inference.tasks import readable
from inference.upstreams import client
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import UpstreamRequest

logger = logging.getLogger(__name__)

Frame = dict[str, Any]


class NativeStreamRun:
    """As ChatRun, without a shape of ours: what the model sends is what the client reads."""

    def __init__(self, call: Call, task: NativeTask) -> None:
        self.admitted = admit_call(call, prepare=task.prepare)
        self.meter = self.admitted.meter
        self._task = task
        self._reader = AnswerReader(output_cap=0)
        # Of an answer that came whole.
        self._used: Measured | None = None
        self._answer: Answer | None = None
        self._frames: Iterator[Frame] = iter(())
        self._delivered = False
        self._client_gone = False
        if not call.is_idempotent:
            self.meter.used_so_far = self._delivered_use

    def start(self) -> None:
        """Raises GatewayError; then the call is recorded, and costs nothing."""
        stops.watch(self.meter.hold, self._break_off)
        try:
            self._answer, first, rest = self.admitted.attempts.run(self._open)
        except UpstreamCallError as failure:
            raise self._fail(failure).error from failure
        except BaseException:
            self.meter.finish(
                status=Status.UPSTREAM_FAILED, used=Measured(), error_code="internal_error"
            )
            raise
        self._frames = chain(first, rest)

    def _open(self, target: Target) -> tuple[Answer, list[Frame], Iterator[Frame]]:
        """The answer up to the first frame with any text: until there nothing is passed on."""
        (request,) = target.prepared.work
        answer = client.send(
            target.account,
            target.offer.upstream_model,
            request,
            context=self.admitted.call.context,
            reject_if_busy=target.reject_if_busy,
        )
        self.meter.answered(answer)
        self._used = None
        self._reader = AnswerReader(
            output_cap=int(target.prepared.most[Unit.OUTPUT_TOKENS]), choices=native.MOST_CHOICES
        )
        try:
            if not answer.is_stream:
                return answer, [self._whole(target, request, answer)], iter(())
            frames = self._read(answer)
            first = []
            for frame in frames:
                first.append(frame)
                if self._reader.has_output:
                    break
            return answer, first, frames
        except BaseException:
            answer.close()
            raise

    def _whole(self, target: Target, request: UpstreamRequest, answer: Answer) -> Frame:
        """Some models answer plain JSON although a stream was asked for."""
        part = readable(lambda: self._task.read(target.offer, request, answer))
        content = part.value.content
        if not isinstance(content, dict):
            raise UpstreamCallError.unreadable("bytes for a stream")
        self._used = part.used
        return content

    def _read(self, answer: Answer) -> Iterator[Frame]:
        """The frames, measured as they pass. Raises UpstreamCallError, also at an end that is
        none, or one of BROKEN."""
        for frame in answer.frames():
            list(self._reader.read_frames([frame]))
            yield frame
        list(self._reader.finish_stream(saw_done=answer.saw_done))

    def chunks(self) -> Iterator[bytes]:
        try:
            for frame in self._frames:
                require_running(self.meter.hold)
                if self._client_gone:
                    raise UpstreamCallError.broken("the client has left")
                if not self._delivered and self._has_output:
                    self._delivered = True
                    self.meter.first_token()
                yield chunk(without_neurons(frame))
            self._capture(Status.COMPLETED if self._has_output else Status.EMPTY)
            yield DONE
        except (UpstreamCallError, *client.BROKEN) as exc:
            failure = self._fail(client.as_failure(exc))
            if not self._client_gone:
                yield chunk(failure.error.body())
        finally:
            self.close()

    @property
    def _has_output(self) -> bool:
        return self._reader.has_output or self._used is not None

    def client_left(self) -> None:
        self._client_gone = True
        self._break_off()

    def _break_off(self) -> None:
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
        if self._used is not None:
            used = self._used
        elif usage is None or not usage.prompt_tokens or not usage.completion_tokens:
            used = self._delivered_use()
        else:
            used = self._believable(usage).measured(Truth.PROVIDER)
        self.meter.finish(status=status, used=used)

    def _fail(self, failure: UpstreamCallError) -> UpstreamCallError:
        if self._client_gone:
            self.close()
            return failure
        failure = true_cause(failure, self.meter.hold)
        logger.warning("The call failed: %s", failure.log_line)
        self.meter.finish(
            status=status_of(failure, delivered=self._delivered),
            used=self._delivered_use(),
            upstream_request_id=failure.request_id,
            error_code=failure.error.code or failure.error.type,
        )
        return failure

    def _delivered_use(self) -> Measured:
        if not self._delivered:
            return Measured()
        if self._used is not None:
            return self._used
        usage = replace(self._reader.usage() or Usage(), neurons=None)
        usage.completion_tokens = usage.completion_tokens or self._reader.counted_tokens
        usage.prompt_tokens = usage.prompt_tokens or self._likely_prompt_tokens
        return self._believable(usage).measured(Truth.COUNTED)

    @cached_property
    def _likely_prompt_tokens(self) -> int:
        return native.likely_input_tokens(native.fields_of(self._task.request))

    def _believable(self, usage: Usage) -> Usage:
        """Never more than was held for."""
        most = self.meter.most
        usage.prompt_tokens = min(usage.prompt_tokens, int(4 * most[Unit.INPUT_TOKENS]))
        usage.cached_tokens = min(usage.cached_tokens, usage.prompt_tokens)
        usage.completion_tokens = min(usage.completion_tokens, int(most[Unit.OUTPUT_TOKENS]))
        return usage
