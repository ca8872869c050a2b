"""A chat's calls upstream, as one sequence of events."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from typing import Any

from agentflare.concurrency import InterruptedWork, Interruptible
from agentflare.errors import JsonNotMetError
from billing.usage.models import Truth
from inference.attempts import Attempts, Target
from inference.chat.estimate import Estimate
from inference.chat.events import Delta, Event, Usage
from inference.chat.json_answers import NoJsonError, read_json
from inference.chat.reader import AnswerReader
from inference.chat.reading import Reading
from inference.chat.requests import can_stream, capped
from inference.metering.measured import Measured
from inference.metering.meter import Meter
from inference.upstreams import client
from inference.upstreams.accounts import CallContext
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatWork:
    """A chat made ready for one AI model: the bodies of its calls, without an output cap.

    One body for each call; each answers `choices` choices. wants_json: by the model's own
    mode for it. operation: the path at an OpenAI-compatible server.
    """

    bodies: list[dict[str, Any]]
    choices: int
    estimate: Estimate
    wants_json: bool = False
    reading: Reading = field(default_factory=Reading)
    operation: str = "chat/completions"

    @property
    def all_choices(self) -> int:
        return len(self.bodies) * self.choices


class UpstreamChat:
    """Calls the model, again where that is safe, and reads what it answers.

    Safe is: nothing of the answer has been passed on. Models that answer one choice at a
    time are called once for each.
    """

    def __init__(
        self, attempts: Attempts, *, meter: Meter, context: CallContext, is_stream: bool
    ) -> None:
        self.attempts = attempts
        self.meter = meter
        self.context = context
        self.is_stream = is_stream
        # Answers that were of no use.
        self.wasted: list[AnswerReader] = []
        self._readers: list[AnswerReader] = []
        self._answer: Answer | None = None
        self._sending: Interruptible[Answer] | None = None
        self._served: Target | None = None
        self._reminder = ""

    def events(self) -> Iterator[Event]:
        """Raises UpstreamCallError, also in the middle."""
        yield from self._checked_call(0)
        for position in range(1, len(self._work.bodies)):
            yield from self._checked_call(position)

    @property
    def system_fingerprint(self) -> str | None:
        return self._readers[-1].system_fingerprint if self._readers else None

    @property
    def has_output(self) -> bool:
        """Whether anything came, also if a stop sequence has left nothing of it."""
        return any(reader.has_output for reader in self._readers)

    @property
    def is_cut(self) -> bool:
        """Whether we have stopped reading before the end of an answer: at a stop sequence, say."""
        return not all(reader.is_whole for reader in self._readers)

    def usage(self) -> tuple[Usage, Truth]:
        """What the calls used so far, and how that is known.

        Never more output than was asked for, nor more input than could have been sent.
        """
        total = Usage()
        if self._served is None:
            return total, Truth.COUNTED
        told_by_upstream = bool(self._readers)
        neurons: Decimal | None = Decimal(0)
        for reader in self._readers:
            usage = reader.usage()
            usage, is_told = self._told_or_counted(usage or Usage(), reader)
            told_by_upstream = told_by_upstream and is_told
            total.prompt_tokens += usage.prompt_tokens
            total.cached_tokens += usage.cached_tokens
            total.completion_tokens += usage.completion_tokens
            total.reasoning_tokens += usage.reasoning_tokens
            told = usage.neurons if usage.neurons is not None else reader.neurons
            neurons = None if neurons is None or told is None else neurons + told
        total.neurons = neurons if self._readers else None
        return self._believable(total), Truth.PROVIDER if told_by_upstream else Truth.COUNTED

    def _told_or_counted(self, usage: Usage, reader: AnswerReader) -> tuple[Usage, bool]:
        """Our own counts for figures that can't be: nothing for something, or beyond belief."""
        estimate = self._work.estimate
        counted = usage
        if not 0 < usage.prompt_tokens <= estimate.believable_prompt_tokens:
            counted = replace(counted, prompt_tokens=estimate.likely_prompt_tokens)
        least = 1 if reader.counted_tokens else 0
        if not least <= usage.completion_tokens <= reader.most_tokens:
            counted = replace(counted, completion_tokens=reader.counted_tokens)
        return counted, counted == usage

    def _believable(self, usage: Usage) -> Usage:
        estimate = self._work.estimate
        most_output = estimate.output_cap * self._work.all_choices
        most_input = estimate.believable_prompt_tokens
        if usage.prompt_tokens > most_input or usage.completion_tokens > most_output:
            logger.error("Upstream tells %s, at most %d + %d", usage, most_input, most_output)
            usage = replace(usage, neurons=None)
        prompt_tokens = min(usage.prompt_tokens, most_input)
        return replace(
            usage,
            prompt_tokens=prompt_tokens,
            cached_tokens=min(usage.cached_tokens, prompt_tokens),
            completion_tokens=min(usage.completion_tokens, most_output),
            reasoning_tokens=min(usage.reasoning_tokens, most_output),
        )

    def partly_measured(self) -> Measured:
        """What has been read so far of an answer that may not be complete."""
        usage, _ = self.usage()
        return replace(usage, neurons=None).measured(Truth.COUNTED)

    def wasted_measures(self) -> list[Measured]:
        return [(reader.usage() or Usage()).measured(Truth.PROVIDER) for reader in self.wasted]

    def abort(self) -> None:
        """Break off the call that runs, from any greenlet. Its reader sees a broken answer."""
        self.attempts.is_aborted = True
        if self._answer is not None:
            self._answer.abort()
        elif self._sending is not None:
            self._sending.interrupt()

    # --- one call ---------------------------------------------------------------

    def _checked_call(self, position: int) -> Iterator[Event]:
        """Where JSON could only be asked for: its answer is checked, and asked for once more.

        What came back first was for nothing: ours to pay.
        """
        events = self._one_call(position)
        first = next(events, None)
        work = self._work
        if not work.reading.asks_json:
            yield from chain([] if first is None else [first], events)
            return
        answer = chain([] if first is None else [first], events)
        for is_last in (False, True):
            try:
                checked = _checked(list(answer), work.reading.schema)
            except NoJsonError as exc:
                if is_last:
                    raise UpstreamCallError(0, str(exc), JsonNotMetError(str(exc))) from None
                logger.info("The answer is not the JSON asked for: %s", exc)
                self.wasted.append(self._readers.pop())
                self._reminder = f"That was not what I asked for: {exc}. Send the JSON alone."
                answer = chain(self._one_call(position))
                continue
            self._reminder = ""
            yield from checked
            return

    @property
    def _work(self) -> ChatWork:
        assert self._served is not None
        work: ChatWork = self._served.prepared.work
        return work

    def _one_call(self, position: int) -> Iterator[Event]:
        answer, first, rest = self.attempts.run(lambda target: self._open(target, position))
        target = self._served
        assert target is not None
        events = self._work.reading.apply(chain(first, rest))
        try:
            for event in events:
                event.index += position * self._work.choices
                yield event
        except (UpstreamCallError, *client.BROKEN) as exc:
            failure = client.as_failure(exc)
            if not self.attempts.is_aborted:
                self.attempts.failed(target, failure)
            raise failure from exc
        finally:
            self._answer = None
            answer.close()

    def _open(self, target: Target, position: int) -> tuple[Answer, list[Event], Iterator[Event]]:
        """The answer up to its first event: until there nothing has been passed on."""
        work: ChatWork = target.prepared.work
        reader = AnswerReader(output_cap=work.estimate.output_cap, choices=work.choices)
        answer = self._call(target, work, position)
        try:
            rest = self._read(answer, reader)
            first = next(rest, None)
        except BaseException:
            self._answer = None
            answer.close()
            raise
        reader.note_neurons(answer.neurons)
        self._readers.append(reader)
        self._served = target
        return answer, [] if first is None else [first], rest

    def _call(self, target: Target, work: ChatWork, position: int) -> Answer:
        # Where we cut at stop sequences, upstream's work can only be stopped in a stream.
        wants_stream = self.is_stream or bool(work.reading.stops)
        can = can_stream(target.offer, wants_json=work.wants_json or work.reading.asks_json)
        body = work.bodies[position]
        if self._reminder:
            reminder = {"role": "user", "content": self._reminder}
            body = {**body, "messages": [*body["messages"], reminder]}
        body = capped(
            body,
            target.offer,
            output_cap=work.estimate.output_cap,
            stream=wants_stream and can,
        )
        answer = self._send(target, JsonRequest(body, operation=work.operation))
        self.meter.answered(answer)
        self._answer = answer
        if self.attempts.is_aborted:
            # What has arrived with the headers must not count as delivered.
            answer.close()
            raise UpstreamCallError.broken("broken off before the first token")
        return answer

    def _send(self, target: Target, request: JsonRequest) -> Answer:
        context = self.context
        if len(target.prepared.work.bodies) > 1:
            # The same question again would be answered from the cache, with the same answer.
            context = replace(context, cache_ttl_s=0)

        def send() -> Answer:
            return client.send(
                target.account,
                target.offer.upstream_model,
                request,
                context=context,
                reject_if_busy=target.reject_if_busy,
            )

        if not self.is_stream:
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


def _checked(events: list[Event], schema: dict[str, Any] | None) -> list[Event]:
    """Each choice with its JSON alone as its text. Raises NoJsonError.

    A choice that the cap has cut stays as it is, as in JSON mode: its reason says so, and
    asking again would only cut it again.
    """
    texts: dict[int, str] = {}
    for event in events:
        if isinstance(event, Delta):
            texts[event.index] = texts.get(event.index, "") + event.content
    checked: list[Event] = []
    for event in events:
        if isinstance(event, Delta):
            event.content = ""
            checked += [event] if event else []
        else:
            text = texts.get(event.index, "")
            try:
                text = read_json(text, schema)
            except NoJsonError:
                if event.reason != "length":
                    raise
            checked.append(Delta(index=event.index, content=text))
            checked.append(event)
    return checked
