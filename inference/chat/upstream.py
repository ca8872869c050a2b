"""A chat's calls upstream, as one sequence of events."""

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from django.conf import settings

from agentflare.concurrency import InterruptedWork, Interruptible
from inference.catalog.selectors import Offer
from inference.chat.estimate import Estimate
from inference.chat.events import Event, Usage
from inference.chat.meter import Meter
from inference.chat.params import ChatCompletionParams
from inference.chat.reader import AnswerReader
from inference.chat.requests import answers_all_choices, can_stream, capped
from inference.chat.stops import stop_at
from inference.workers_ai import client
from inference.workers_ai.client import Account, Answer, CallContext
from inference.workers_ai.failures import UpstreamCallError

logger = logging.getLogger(__name__)
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
        body: dict[str, Any],
        *,
        estimate: Estimate,
        account: Account,
        context: CallContext,
        meter: Meter,
    ) -> None:
        self.params = params
        self.offer = offer
        self.body = body
        self.estimate = estimate
        self.account = account
        self.context = context
        self.meter = meter
        # Where we cut at stop sequences, upstream's work can only be stopped in a stream.
        cuts_here = offer.is_native and bool(params.stops)
        self.wants_stream = (bool(params.stream) or cuts_here) and can_stream(params, offer)
        self.request_id = ""
        self.is_aborted = False
        self._readers: list[AnswerReader] = []
        self._answer: Answer | None = None
        self._sending: Interruptible[Answer] | None = None

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

    @property
    def has_output(self) -> bool:
        """Whether anything came, also if a stop sequence has left nothing of it."""
        return any(reader.has_output for reader in self._readers)

    def usage(self) -> tuple[Usage, bool]:
        """What the calls used so far, and whether upstream itself said so for each.

        Never more output than was asked for, nor more input than could have been sent.
        """
        total = Usage()
        told_by_upstream = bool(self._readers)
        for reader in self._readers:
            usage = reader.usage()
            if usage is None or not usage.prompt_tokens:
                told_by_upstream = False
                usage = replace(
                    usage or Usage(completion_tokens=reader.counted_tokens),
                    prompt_tokens=self.estimate.likely_prompt_tokens,
                )
            total.prompt_tokens += usage.prompt_tokens
            total.cached_tokens += usage.cached_tokens
            total.completion_tokens += usage.completion_tokens
            total.reasoning_tokens += usage.reasoning_tokens
            total.neurons = usage.neurons if len(self._readers) == 1 else None
        return self._believable(total), told_by_upstream

    def _believable(self, usage: Usage) -> Usage:
        most_output = self.estimate.output_cap * self.params.choices
        most_input = self.estimate.believable_prompt_tokens
        if usage.prompt_tokens > most_input:
            logger.error("Upstream tells %s for a prompt of at most %d", usage, most_input)
        prompt_tokens = min(usage.prompt_tokens, most_input)
        return replace(
            usage,
            prompt_tokens=prompt_tokens,
            cached_tokens=min(usage.cached_tokens, prompt_tokens),
            completion_tokens=min(usage.completion_tokens, most_output),
            reasoning_tokens=min(usage.reasoning_tokens, most_output),
        )

    def abort(self) -> None:
        """Break off the call that runs, from any greenlet. Its reader sees a broken answer."""
        self.is_aborted = True
        if self._answer is not None:
            self._answer.abort()
        elif self._sending is not None:
            self._sending.interrupt()

    # --- one call ---------------------------------------------------------------

    def _one_call(self) -> Iterator[Event]:
        answer, first, rest = self._open()
        try:
            yield from chain(first, rest)
        except client.BROKEN as exc:
            raise _as_failure(exc) from exc
        finally:
            self._answer = None
            answer.close()

    def _open(self) -> tuple[Answer, list[Event], Iterator[Event]]:
        """The answer up to its first event: until there nothing has been passed on."""
        for attempt in range(1, settings.UPSTREAM_ATTEMPTS + 1):
            self.meter.attempt()
            reader = AnswerReader(
                output_cap=self.estimate.output_cap,
                choices=self.params.choices if answers_all_choices(self.offer) else 1,
            )
            answer = None
            try:
                answer = self._call()
                rest = self._read(answer, reader)
                first = next(rest, None)
            except (UpstreamCallError, *client.BROKEN) as exc:
                failure = _as_failure(exc)
                self._answer = None
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
        cap = self.estimate.output_cap
        body = capped(self.body, self.offer, output_cap=cap, stream=self.wants_stream)
        answer = self._send(body)
        self.request_id = answer.request_id
        self._answer = answer
        if self.is_aborted:
            # What has arrived with the headers must not count as delivered.
            answer.close()
            raise UpstreamCallError.broken("broken off before the first token")
        return answer

    def _send(self, body: dict[str, Any]) -> Answer:
        def send() -> Answer:
            return client.run(self.account, self.offer.upstream_model, body, context=self.context)

        if not self.params.stream:
            return send()  # nobody watches whether the client is still there
        self._sending = Interruptible(send)
        try:
            return self._sending.result()
        except InterruptedWork:
            raise UpstreamCallError.broken("broken off before the first token") from None
        finally:
            self._sending = None

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
    if isinstance(exc, client.TIMED_OUT):
        return UpstreamCallError.timeout(str(exc))
    failure = UpstreamCallError.broken(str(exc))
    failure.may_retry = True
    return failure
