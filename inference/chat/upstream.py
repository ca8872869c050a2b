"""A chat's calls upstream, as one sequence of events."""

import random
import time
from collections.abc import Iterator
from itertools import chain

from django.conf import settings

from inference.catalog.selectors import Offer
from inference.chat.estimate import Estimate
from inference.chat.events import Event, Usage
from inference.chat.params import ChatCompletionParams
from inference.chat.reader import AnswerReader
from inference.chat.requests import answers_all_choices, can_stream, upstream_body
from inference.chat.stops import stop_at
from inference.meter import Meter
from inference.workers_ai import client
from inference.workers_ai.client import Account, Answer, CallContext
from inference.workers_ai.failures import UpstreamCallError

_BACKOFF_S = 0.15


class UpstreamChat:
    """Calls the model, again where that is safe, and reads what it answers.

    Safe is: nothing of the answer has been passed on. Models that answer one choice at a
    time are called once for each of `n`.
    """

    def __init__(
        self,
        params: ChatCompletionParams,
        offer: Offer,
        *,
        estimate: Estimate,
        account: Account,
        context: CallContext,
        meter: Meter,
    ) -> None:
        self.params = params
        self.offer = offer
        self.estimate = estimate
        self.account = account
        self.context = context
        self.meter = meter
        self.wants_stream = bool(params.stream) and can_stream(params, offer)
        self.request_id = ""
        self.is_aborted = False
        self._readers: list[AnswerReader] = []
        self._answer: Answer | None = None

    def events(self) -> Iterator[Event]:
        """Raises UpstreamCallError, also in the middle."""
        if answers_all_choices(self.offer):
            yield from self._one_call()
            return
        for index in range(self.params.choices):
            events = self._one_call()
            if self.params.stops:
                events = stop_at(events, self.params.stops)
            for event in events:
                event.index = index
                yield event

    @property
    def system_fingerprint(self) -> str | None:
        return self._readers[-1].system_fingerprint if self._readers else None

    def usage(self) -> tuple[Usage, bool]:
        """What the calls used so far, and whether upstream itself said so for each."""
        total = Usage()
        told_by_upstream = bool(self._readers)
        for reader in self._readers:
            usage = reader.usage()
            if usage is None or not usage.prompt_tokens:
                told_by_upstream = False
                usage = usage or Usage(completion_tokens=reader.counted_tokens)
                usage.prompt_tokens = self.estimate.likely_prompt_tokens
            total.prompt_tokens += usage.prompt_tokens
            total.cached_tokens += usage.cached_tokens
            total.completion_tokens += usage.completion_tokens
            total.reasoning_tokens += usage.reasoning_tokens
            total.neurons = usage.neurons if len(self._readers) == 1 else None
        return total, told_by_upstream

    def abort(self) -> None:
        """Break off the call that runs, from any greenlet. Its reader sees a broken answer."""
        self.is_aborted = True
        if self._answer is not None:
            self._answer.abort()

    # --- one call ---------------------------------------------------------------

    def _one_call(self) -> Iterator[Event]:
        answer, first, rest = self._open()
        try:
            yield from chain(first, rest)
        except client.BROKEN as exc:
            raise _as_failure(exc) from exc
        finally:
            answer.close()

    def _open(self) -> tuple[Answer, list[Event], Iterator[Event]]:
        """The answer up to its first event: until there nothing has been passed on."""
        for attempt in range(1, settings.UPSTREAM_ATTEMPTS + 1):
            self.meter.attempt()
            reader = AnswerReader(output_cap=self.estimate.output_cap)
            answer = None
            try:
                answer = self._call()
                rest = self._read(answer, reader)
                first = next(rest, None)
            except (UpstreamCallError, *client.BROKEN) as exc:
                failure = _as_failure(exc)
                if answer:
                    answer.close()
                is_last = attempt == settings.UPSTREAM_ATTEMPTS
                if is_last or self.is_aborted or not failure.may_retry:
                    raise failure from exc
                time.sleep(_BACKOFF_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
                continue
            self._readers.append(reader)
            return answer, [] if first is None else [first], rest
        raise AssertionError("the last attempt returns or raises")

    def _call(self) -> Answer:
        body = upstream_body(
            self.params, self.offer, output_cap=self.estimate.output_cap, stream=self.wants_stream
        )
        answer = client.run(self.account, self.offer.upstream_model, body, context=self.context)
        self.request_id = answer.request_id
        self._answer = answer
        if self.is_aborted:
            # What has arrived with the headers must not count as delivered.
            answer.close()
            raise UpstreamCallError.broken("broken off before the first token")
        return answer

    @staticmethod
    def _read(answer: Answer, reader: AnswerReader) -> Iterator[Event]:
        if not answer.is_stream:
            yield from reader.read_result(answer.result())
            return
        yield from reader.read_frames(answer.frames())
        yield from reader.finish_stream(saw_done=answer.saw_done)


def _as_failure(exc: Exception) -> UpstreamCallError:
    if isinstance(exc, UpstreamCallError):
        return exc
    if "timed out" in str(exc).lower():
        return UpstreamCallError.timeout(str(exc))
    failure = UpstreamCallError.broken(str(exc))
    failure.may_retry = True
    return failure
