"""A turn, from its input to its last event."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from django.db import InterfaceError, OperationalError
from pydantic import ValidationError

from agentflare.api import invalid_params
from agentflare.connections import given_back, patiently
from agentflare.errors import GatewayError, NotFoundError, ServiceUnavailableError
from agentflare.ids import uuid7
from agents.conversations.objects import new_item_id
from agents.tools.toolbox import MAX_CALLS, Toolbox
from agents.turns import budget, cancels, event_log, leases, services, summaries
from agents.turns.event_log import Ends, EventLog
from agents.turns.faces import Face, lifecycle_event, number
from agents.turns.history import ChatMessage, Item, history_of
from agents.turns.images import fetch_images, unseen
from agents.turns.models import Turn, TurnLostError
from agents.turns.prompt import Cut, first_of_last, prepare_fitting
from agents.turns.state import TurnState
from agents.turns.writer import OutputWriter, TurnEvent
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.chat.params import ChatCompletionParams
from inference.chat.prepare import prepare_chat
from inference.chat.run import ChatCall
from inference.chat.shape import gather
from inference.pipeline import Admitted, Call, admit_call
from tenants.keys.lookup import find_anew
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
# How long PostgreSQL may be away when a turn ends; who finds it unfinished later has its events.
_SAVE_TRIES, _SAVE_AGAIN_S = 4, 1.0

# What a model reads that calls more tools at once than anybody needs.
TOO_MANY = f"Error: at most {MAX_CALLS} calls are made at once."


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of an AI model, beside the history.

    fields: a chat's parameters without its messages. param_names: what its parameters are called
    where the client has named them. is_strict: a history with a call without a result is refused.
    max_steps, timeout_s: of the turn, where it has tools that we run. summary_model: what sums up
    the messages that are not sent any more.
    """

    call: Call
    fields: Mapping[str, Any]
    instructions: str | None
    cut: Cut
    is_strict: bool = True
    param_names: Mapping[str, str] | None = None
    max_steps: int = 1
    timeout_s: float | None = None
    summary_model: str = ""


class TurnRun:
    """`start` it, then read it with `whole` or `events`, once.

    before: the history, items: the input, as they are kept. is_kept: it stands in PostgreSQL since
    `services.begin`, and must end there: by `withdraw` where `start` fails, else with its last
    event. log: where its events are kept, too. results: of tools, that it goes on with.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        state: TurnState,
        face: Face,
        before: Sequence[Item],
        items: Sequence[Item],
        is_kept: bool,
        log: EventLog | None = None,
        toolbox: Toolbox | None = None,
        results: int = 0,
    ) -> None:
        self.ask = ask
        self.state = state
        self.face = face
        self.before = before
        self.items = list(items)
        self.is_kept = is_kept
        self.log = log
        self.toolbox = toolbox
        self.results = results
        self.writer = OutputWriter(state.output)
        self.has_lost_client = False
        self.is_cancelled = False
        self._chat: ChatCall | None = None
        self._fetched: dict[str, str] = {}
        self._is_started = False
        self._is_over = False
        # A turn that goes on after a pause.
        self._is_resumed = bool(state.next_event)
        # How much of the output is saved, and among `items`.
        self._saved = self._known = len(state.output)
        self._ends_at = None if ask.timeout_s is None else time.monotonic() + ask.timeout_s
        if is_kept:
            cancels.watch(state.id, self.cancel)

    @property
    def admitted(self) -> Admitted:
        assert self._chat is not None
        return self._chat.admitted

    @property
    def tenant_code(self) -> str:
        return self.ask.call.caller.tenant_code

    def admit(self) -> None:
        """The first call's money is held. Raises GatewayError; then the turn is withdrawn."""
        try:
            self._chat = self._next_call(self.ask.call)
        except TurnLostError:
            self._withdraw()
            raise NotFoundError(
                "The conversation is not there any more.", code="conversation_not_found"
            ) from None
        except BaseException:
            self._withdraw()
            raise

    def start(self) -> None:
        """The first piece of the answer is there. Raises GatewayError; then the turn is withdrawn,
        and costs nothing."""
        if self._chat is None:
            self.admit()
        try:
            self._start_call()
        except BaseException:
            self._withdraw()
            raise

    def whole(self) -> dict[str, Any]:
        """The client's object at the end. Raises GatewayError when upstream breaks off: then
        nothing of it reaches the client, nothing is charged, and the turn is withdrawn."""
        assert self._chat is not None
        try:
            events = self._chat.whole()
        except BaseException:
            self._withdraw()
            raise
        for event in events:
            for _ in self.writer.write(event):
                pass
        self._take_cost()
        self._end(lambda: self.state.end_by(self.writer.finish_reason))
        return self.face.object(self.state)

    def events(self) -> Iterator[TurnEvent]:
        """To the last one, whatever happens; closing it cancels the turn where it is."""
        try:
            if not self._is_resumed:
                yield self._tell(lifecycle_event(self.face, self.state, "created"))
            self._note_running()
            yield self._tell(lifecycle_event(self.face, self.state, "in_progress"))
            yield from self._steps()
        except GatewayError as error:
            yield self._fail(error)
        except TurnLostError:
            yield self._lost()
        except Exception:  # its readers are told an end, whatever it is
            logger.exception("Turn %s broke", self.state.id.hex)
            yield self._fail(ServiceUnavailableError("The turn broke off by a fault of ours."))
        finally:
            self.close()

    def _note_running(self) -> None:
        was_queued = self.state.status == Turn.Status.QUEUED
        self.state.status = Turn.Status.IN_PROGRESS
        if was_queued:
            with given_back(), tenant_schema(self.tenant_code):
                services.note_running(self.state.id)

    def _steps(self) -> Iterator[TurnEvent]:
        while True:
            self._start_call()
            begin = len(self.state.output)
            yield from self._answer()
            calls = [i for i in self.state.output[begin:] if i["type"] == "function_call"]
            if not calls or self.toolbox is None:
                self._sum_up()
                yield self._end(lambda: self.state.end_by(self.writer.finish_reason))
                return
            ours = self.toolbox.ours(calls)
            yield from self._run_tools(ours)
            self._require_time()
            if len(self.state.steps) >= self.ask.max_steps:
                yield self._end(lambda: self.state.cut("max_steps"))
                return
            if len(ours) < len(calls):
                yield self._pause()
                return
            call = self._call_anew()
            self.state.steps.append({"request_id": call.request_id.hex})
            # Whoever heals the turn knows of the call then.
            self._save()
            try:
                self._chat, self._is_started = self._next_call(call), False
            except BaseException:
                self._forget_step(call)
                raise

    def _call_anew(self) -> Call:
        """For another step, of whoever may still make it. Raises GatewayError."""
        caller = self.ask.call.caller
        with suppress(OperationalError, InterfaceError):
            caller = patiently(lambda: find_anew(caller))
        caller.require_usable()
        return replace(self.ask.call, caller=caller, request_id=uuid7(), is_idempotent=False)

    def _sum_up(self) -> None:
        """The answer is there; what fell out of the history is summed up for the next turn."""
        conversation_id = self.state.conversation_id
        if not self.ask.summary_model or conversation_id is None:
            return
        try:
            with given_back(), tenant_schema(self.tenant_code):
                wanted = summaries.due(conversation_id, max_messages=self.ask.cut.max_messages)
            if wanted is None:
                return
            # The answer is not put at risk.
            self._save()
            summary = self._ask_beside(self.ask.summary_model, wanted.messages)
            if summary:
                with given_back(), tenant_schema(self.tenant_code):
                    summaries.keep(conversation_id, summary, until=wanted.until)
        except GatewayError as error:
            logger.warning(
                "Turn %s has no summary: %s", self.state.id.hex, error.code or error.type
            )
        except (OperationalError, InterfaceError) as exc:
            logger.warning("Turn %s has no summary: %s", self.state.id.hex, exc)

    def _ask_beside(self, model: str, messages: list[ChatMessage]) -> str:
        """A call that is a step of this turn, and no part of its answer."""
        params = ChatCompletionParams.model_validate(
            {"model": model, "messages": messages, "max_completion_tokens": summaries.MAX_TOKENS}
        )
        call = replace(
            self.ask.call, request_id=uuid7(), model=model, is_stream=False, is_idempotent=False
        )
        self.state.steps.append({"request_id": call.request_id.hex})
        with given_back(), tenant_schema(self.tenant_code):
            services.note_step(self.state.id, self.state.steps)
        chat = self._admitted(
            call, prepare=lambda offer: prepare_chat(params, offer, endpoint="agents")
        )
        self._chat = chat
        try:
            chat.start()
            choices = gather(chat.whole())
        finally:
            chat.close()
            self._take_cost()
        return "".join(choices[0].content).strip() if choices else ""

    def _run_tools(self, calls: Sequence[Item]) -> Iterator[TurnEvent]:
        if not calls:
            return
        assert self.toolbox is not None
        results = [*self.toolbox.run(calls[:MAX_CALLS]), *[TOO_MANY] * len(calls[MAX_CALLS:])]
        for call, result in zip(calls, results, strict=True):
            yield from map(self._tell, self.writer.add(output_item(call["call_id"], result)))

    def client_left(self) -> None:
        """Nobody reads it any more, and it is not to go on without a reader."""
        self.has_lost_client = True
        self.cancel()

    def cancel(self) -> None:
        """End it where it is, from any greenlet: what came until now is kept, and charged."""
        self.is_cancelled = True
        if self._chat is not None:
            self._chat.client_left()

    def close(self) -> None:
        """A repeat changes nothing."""
        if self._is_over:
            return
        if self._chat is not None:
            self._chat.close()
        self.is_cancelled = True
        self._fail(ServiceUnavailableError())

    def headers(self) -> dict[str, str]:
        assert self._chat is not None
        return self._chat.headers()

    # --- calls of AI models -------------------------------------------------------

    def _next_call(self, call: Call) -> ChatCall:
        if self.state.agent_id is not None:
            with given_back(), tenant_schema(self.tenant_code):
                budget.require_some(self.state.agent_id)
        new = self.state.output[self._known :]
        self._known = len(self.state.output)
        self.items += new
        history = history_of([*self.before, *self.items], is_strict=self.ask.is_strict)
        first_new, cut = history.first_since(len(self.before)), self.ask.cut
        first = first_of_last(history.groups, most=cut.max_messages, first_new=first_new)
        groups = history.groups[first:]
        first_new -= first
        fetch_images(groups, tenant_code=self.tenant_code, first_new=first_new, known=self._fetched)
        texts = [self.ask.instructions or "", *history.instructions]
        system = _system_message([text for text in texts if text])

        def prepare(offer: Offer, cap: int | None = None) -> Prepared:
            before = groups[:first_new]
            return prepare_fitting(
                groups if offer.can("vision") else [*unseen(before), *groups[first_new:]],
                offer,
                first_new=first_new,
                to_window=cut.to_window,
                prepare=lambda messages: self._prepare([*system, *messages], offer, cap=cap),
            )

        try:
            return self._admitted(call, prepare=prepare, shrink=prepare)
        except GatewayError as error:
            raise self._in_clients_words(error) from None

    def _admitted(
        self,
        call: Call,
        *,
        prepare: Callable[[Offer], Prepared],
        shrink: Callable[[Offer, int], Prepared] | None = None,
    ) -> ChatCall:
        """The call with its money held, and reserved of the agent's budget.

        Raises GatewayError or TurnLostError; then it is no step of the turn.
        """
        steps = self.state.steps
        if not steps or steps[-1]["request_id"] != call.request_id.hex:
            steps.append({"request_id": call.request_id.hex})
        try:
            chat = ChatCall(admit_call(call, prepare=prepare, shrink=shrink))
            try:
                self._reserve(chat)
            except BaseException:
                chat.close()
                raise
        except BaseException:
            self._forget_step(call)
            raise
        return chat

    def _forget_step(self, call: Call) -> None:
        """The call was not made."""
        number = call.request_id.hex
        self.state.steps[:] = [step for step in self.state.steps if step["request_id"] != number]

    def _reserve(self, chat: ChatCall) -> None:
        if self.state.agent_id is None:
            return
        amount_nusd = chat.meter.hold.event.estimated_nusd
        with given_back(), tenant_schema(self.tenant_code):
            if budget.reserve(self.state.agent_id, self.state.id, amount_nusd=amount_nusd):
                self.state.reserved_nusd = amount_nusd

    def _prepare(self, messages: list[ChatMessage], offer: Offer, *, cap: int | None) -> Prepared:
        fields = dict(self.ask.fields)
        if len(self.state.steps) > 1 and fields.get("tool_choice") == "required":
            # It has called one: else it could never answer.
            fields["tool_choice"] = "auto"
        try:
            params = ChatCompletionParams.model_validate({**fields, "messages": messages})
        except ValidationError as exc:
            raise invalid_params(exc) from None
        params.check()
        if cap is not None:
            params = params.capped(cap)
        if not offer.can("reasoning"):
            # Frameworks ask for it whatever the model.
            params = params.model_copy(update={"reasoning_effort": None})
        return prepare_chat(params, offer, endpoint=self.ask.call.endpoint)

    def _in_clients_words(self, error: GatewayError) -> GatewayError:
        """The same refusal with the names that the client has used."""
        names = self.ask.param_names or {}
        param = error.param
        for ours, theirs in names.items():
            if param is not None and (param == ours or param.startswith((f"{ours}.", f"{ours}["))):
                error.message = error.message.replace(ours, theirs)
                error.param = theirs if ours == "messages" else theirs + param[len(ours) :]
                break
        return error

    def _start_call(self) -> None:
        assert self._chat is not None
        if self._is_started:
            return
        self._is_started = True
        if self.is_cancelled:
            self._chat.client_left()
        self._chat.start()

    def _answer(self) -> Iterator[TurnEvent]:
        assert self._chat is not None
        self.writer.begin_answer()
        for event in self._chat.events():
            self._require_time()
            yield from map(self._tell, self.writer.write(event))
        self._take_cost()

    def _take_cost(self) -> None:
        """After the capture, once for each call. The agent's budget is told with the next save."""
        assert self._chat is not None
        captured = self._chat.meter.captured
        request_id = self._chat.admitted.call.request_id.hex
        found = [step for step in self.state.steps if step["request_id"] == request_id]
        if captured is None or not found or "cost_nusd" in found[0]:
            return
        found[0]["cost_nusd"] = captured.cost_nusd
        if self.state.reserved_nusd:
            self.state.unspent_nusd += captured.cost_nusd
            self.state.reserved_nusd = 0
        self.state.cost_nusd += captured.cost_nusd
        self.state.told = self._chat.admitted.told()
        event = self._chat.meter.hold.event
        if captured.cost_nusd or event.output_tokens:
            usage = self._chat.usage
            usage.prompt_tokens = event.input_tokens + event.cached_input_tokens
            usage.cached_tokens = event.cached_input_tokens
            usage.completion_tokens = event.output_tokens
            usage.reasoning_tokens = event.reasoning_tokens
            self.state.add_usage(usage)

    def _require_time(self) -> None:
        if self.is_cancelled:
            raise ServiceUnavailableError
        if self._ends_at is not None and time.monotonic() > self._ends_at:
            raise TurnTimeoutError(self.ask.timeout_s or 0)

    # --- its end ------------------------------------------------------------------

    def _tell(self, event: TurnEvent, *, ends: Ends = Ends.NOTHING) -> TurnEvent:
        return self._log(number(event, self.face, self.state), ends)

    def _log(self, event: TurnEvent, ends: Ends) -> TurnEvent:
        if self.log is not None:
            self.log.append(event["sequence_number"], event, ends=ends)
        return event

    def _pause(self) -> TurnEvent:
        """Its client has calls to make. Nobody works at it meanwhile. Raises TurnLostError."""
        self.state.status = Turn.Status.REQUIRES_ACTION
        told = lifecycle_event(self.face, self.state, "requires_action")
        event = number(told, self.face, self.state)
        self._save()
        self._is_over = True
        self._log(event, Ends.PAUSE)
        self._let_go()
        return event

    def _fail(self, error: GatewayError) -> TurnEvent:
        if self._chat is not None:
            self._chat.close()
            self._take_cost()
        self.writer.break_off()
        if self.is_cancelled:
            return self._end(lambda: self.state.end(Turn.Status.CANCELLED))
        error = self._in_clients_words(error)
        return self._end(lambda: self.state.fail(error))

    def _end(self, change: Callable[[], None]) -> TurnEvent:
        """It has ended, and is kept so before anybody is told."""
        change()
        self._is_over = True
        self.state.has_usage = self.state.has_usage or self.state.error is None
        try:
            if self.is_kept:
                self._save()
        except TurnLostError:
            return self._lost()
        except Exception:  # it heals: by what its events tell
            logger.exception("The end of turn %s cannot be kept", self.state.id.hex)
            self.state.fail(ServiceUnavailableError("The turn's end could not be kept."))
        return self._tell_end()

    def _lost(self) -> TurnEvent:
        """It was ended by somebody else, or deleted: nothing of it is made or kept any more."""
        logger.warning("Turn %s was ended elsewhere", self.state.id.hex)
        self._is_over = True
        if self._chat is not None:
            self._chat.close()
            self._take_cost()
        down = suppress(OperationalError, InterfaceError)
        with down, given_back(), tenant_schema(self.tenant_code):
            services.spend_of_deleted(self.state)
        self.writer.break_off()
        if self.is_cancelled:
            self.state.end(Turn.Status.CANCELLED)
        else:
            self.state.fail(
                ServiceUnavailableError("The turn was deleted while it ran, or ended elsewhere.")
            )
        return self._tell_end()

    def _tell_end(self) -> TurnEvent:
        try:
            outcome = self.face.outcome(self.state)
            return self._tell(lifecycle_event(self.face, self.state, outcome), ends=Ends.ALL)
        finally:
            self._let_go()

    def _save(self) -> None:
        """Raises TurnLostError. While PostgreSQL is down nothing is kept: it heals."""
        for tries_left in reversed(range(_SAVE_TRIES)):
            try:
                with given_back(), tenant_schema(self.tenant_code):
                    self._saved = services.save(self.state, saved=self._saved)
                self.state.unspent_nusd = 0
                return
            except (OperationalError, InterfaceError) as exc:
                logger.warning("Turn %s cannot be saved yet: %s", self.state.id.hex, exc)
                if tries_left:
                    time.sleep(_SAVE_AGAIN_S)

    def _withdraw(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._chat is not None:
            self._chat.close()
        try:
            if self.is_kept:
                with given_back(), tenant_schema(self.tenant_code):
                    if self._is_resumed:
                        services.suspend_again(self.state.id, results=self.results)
                    else:
                        services.withdraw(self.state.id)
        finally:
            # Where PostgreSQL is down it stays, and nobody works at it: it heals.
            self._let_go()

    def _let_go(self) -> None:
        if not self.is_kept:
            return
        cancels.forget(self.state.id)
        event_log.logs.pop(self.state.id, None)
        leases.give_back(self.tenant_code, self.state.id)


class TurnTimeoutError(GatewayError):
    """As long as the agent's limit says, over all its steps."""

    status = 504
    type = "server_error"
    code = "turn_timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The turn took longer than its agent allows ({timeout_s:g} s).")


def output_item(call_id: str, result: str) -> dict[str, Any]:
    return {
        "id": new_item_id("function_call_output", uuid7()),
        "type": "function_call_output",
        "call_id": call_id,
        "output": result,
        "status": "completed",
    }


def _system_message(texts: list[str]) -> list[ChatMessage]:
    return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []
