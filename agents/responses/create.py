"""A response that is asked for: its place in the history, its input, its run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from agentflare.connections import given_back
from agentflare.errors import InsufficientScopeError, InvalidRequestError, NotFoundError
from agentflare.ids import uuid7
from agents.conversations.items import ItemReference
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import item_uuid, uuid_of
from agents.conversations.storage import size_of_items
from agents.responses.objects import response_uuid
from agents.responses.params import ResponseParams
from agents.responses.requests import PARAM_NAMES, asked_of, chat_fields, check
from agents.turns import event_log, leases, services
from agents.turns.event_log import EventLog
from agents.turns.faces import ResponseFace
from agents.turns.healing import begin_or_heal, heal_if_dead
from agents.turns.models import Turn
from agents.turns.prompt import Cut
from agents.turns.run import Ask, TurnRun
from agents.turns.selectors import last_items
from agents.turns.state import TurnState
from inference.chat.params import MAX_MESSAGES
from inference.pipeline import Call
from tenants.keys.lookup import KeyRecord
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema

ENDPOINT = "responses"
Items = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A response that is not stored, and can be followed over the WebSocket that made it.

    items: all that it was made of and all that it says, as they are kept."""

    id: UUID
    items: Items


def call_for(
    record: KeyRecord,
    params: ResponseParams,
    *,
    request_id: UUID,
    cache_ttl_s: int,
    shrink_to_fit: bool,
    is_idempotent: bool = False,
) -> Call:
    return Call(
        caller=record,
        request_id=request_id,
        endpoint=ENDPOINT,
        model=params.model,
        is_stream=bool(params.stream or params.background),
        affinity=params.prompt_cache_key or "",
        cache_ttl_s=cache_ttl_s,
        is_idempotent=is_idempotent,
        shrink_to_fit=shrink_to_fit,
    )


def begin_response(
    call: Call, params: ResponseParams, *, remembered: Remembered | None = None
) -> TurnRun:
    """Its run, not admitted yet; where it is to be stored, it stands in PostgreSQL.

    Raises GatewayError; then nothing has been stored.
    """
    check(params)
    conversation_id, previous_id = _place(call.caller, params)
    asked = asked_of(params, conversation=conversation_id, previous=previous_id)
    fields = chat_fields(params)
    state = TurnState(id=uuid7(), model=params.model)
    if params.background:
        state.status = Turn.Status.QUEUED
    known: Items = []
    if remembered is not None and previous_id == remembered.id:
        known, previous_id = remembered.items, None
    is_kept = params.is_stored or conversation_id is not None
    needs_database = is_kept or previous_id is not None or _has_references(params)
    if not needs_database:
        items = _told(params)
        return _run(params, call, fields, asked, state, before=known, items=items, log=None)
    code = call.caller.tenant_code
    with given_back(), tenant_schema(code):
        items = _resolved(call.caller, params)
        if not is_kept:
            before = known or _history_of_previous(code, previous_id)
            return _run(params, call, fields, asked, state, before=before, items=items, log=None)
        if previous_id is not None:
            _finished(code, previous_id)
        leases.take(code, state.id)
        try:
            # What was remembered alone is kept from now on.
            turn = _begin(
                code, call, params, asked, state, conversation_id, previous_id, [*known, *items]
            )
            before = known or _history(turn.conversation_id, until=turn.first_position)
        except BaseException:
            leases.give_back(code, state.id)
            raise
        state.conversation_id = turn.conversation_id
    log = None
    if params.stream or params.background:
        log = event_log.logs[state.id] = EventLog(code, state.id)
    return _run(params, call, fields, asked, state, before=before, items=items, log=log)


def _run(
    params: ResponseParams,
    call: Call,
    fields: dict[str, Any],
    asked: dict[str, Any],
    state: TurnState,
    *,
    before: Items,
    items: Items,
    log: EventLog | None,
) -> TurnRun:
    ask = Ask(
        call=call,
        fields=fields,
        instructions=params.instructions,
        cut=Cut(max_messages=MAX_MESSAGES, to_window=params.truncation == "auto"),
        param_names=PARAM_NAMES,
    )
    return TurnRun(
        ask,
        state=state,
        face=ResponseFace(asked),
        before=before,
        items=items,
        is_kept=state.conversation_id is not None,
        log=log,
    )


# --- where it stands ----------------------------------------------------------------


def _place(record: KeyRecord, params: ResponseParams) -> tuple[UUID | None, UUID | None]:
    """The conversation and the previous response that are named. Raises GatewayError."""
    conversation = previous = None
    if params.conversation_id is not None:
        if Scope.AGENTS not in record.scopes:
            raise InsufficientScopeError(Scope.AGENTS)
        if (conversation := uuid_of(params.conversation_id, "conv")) is None:
            raise _no_such_conversation(params.conversation_id)
    given = params.previous_response_id
    if given is not None and (previous := response_uuid(given)) is None:
        raise _no_such_response(given)
    return conversation, previous


def _no_such_conversation(given: str | None) -> NotFoundError:
    return NotFoundError(
        f"Conversation with id '{given}' not found.",
        param="conversation",
        code="conversation_not_found",
    )


def _no_such_response(given: str | None) -> InvalidRequestError:
    return InvalidRequestError(
        f"Previous response with id '{given}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def _finished(tenant_code: str, previous_id: UUID) -> Turn:
    """Raises InvalidRequestError for one that is not there, or not at its end."""
    given = f"resp_{previous_id.hex}"
    turn = Turn.objects.filter(pk=previous_id, is_stored=True, agent=None).first()
    if turn is None:
        raise _no_such_response(given)
    if heal_if_dead(tenant_code, turn).is_running:
        raise InvalidRequestError(
            f"Previous response with id '{given}' is not finished yet.",
            param="previous_response_id",
            code="previous_response_not_finished",
        )
    return turn


def _begin(
    tenant_code: str,
    call: Call,
    params: ResponseParams,
    asked: dict[str, Any],
    state: TurnState,
    conversation_id: UUID | None,
    previous_id: UUID | None,
    items: Items,
) -> Turn:
    new = services.NewTurn(
        id=state.id,
        request_id=call.request_id,
        model=params.model,
        params=asked,
        items=items,
        key_id=call.caller.key_id,
        conversation_id=conversation_id,
        previous=previous_id,
        is_background=bool(params.background),
        is_stored=params.is_stored,
    )
    try:
        return begin_or_heal(tenant_code, new)
    except Conversation.DoesNotExist:
        raise _no_such_conversation(params.conversation_id) from None
    except Turn.DoesNotExist:
        raise _no_such_response(params.previous_response_id) from None


# --- its input ----------------------------------------------------------------------


def _told(params: ResponseParams) -> Items:
    """The items of the input, as they are kept."""
    told = params.input
    if told is None:
        return []
    if isinstance(told, str):
        content = [{"type": "input_text", "text": told}]
        message = {"type": "message", "role": "user", "status": "completed", "content": content}
        return [message]
    return [item.told() for item in told if not isinstance(item, ItemReference)]


def _has_references(params: ResponseParams) -> bool:
    return isinstance(params.input, list) and any(
        isinstance(item, ItemReference) for item in params.input
    )


def _resolved(record: KeyRecord, params: ResponseParams) -> Items:
    """The same, with what it refers to. Raises NotFoundError or InvalidRequestError."""
    if not isinstance(params.input, list) or not _has_references(params):
        return _told(params)
    named = [item.id for item in params.input if isinstance(item, ItemReference)]
    found = _referred(record, named)
    return [
        found[item.id] if isinstance(item, ItemReference) else item.told() for item in params.input
    ]


def _referred(record: KeyRecord, named: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Kept items by their ids: of responses, and of conversations where the key may read them;
    never of an agent's. No more of them than a body could hold."""
    numbers = {given: item_uuid(given) for given in named}
    if len(numbers) < len(named):
        raise InvalidRequestError("An item is referred to twice.", param="input")
    wanted = [number for number in numbers.values() if number is not None]
    items = Item.objects.filter(pk__in=wanted, conversation__agent=None)
    if Scope.AGENTS not in record.scopes:
        items = items.filter(conversation__is_hidden=True)
    if size_of_items(items) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise InvalidRequestError(
            "The items that are referred to are larger than a request may be.", param="input"
        )
    found = {item.pk: item.content for item in items}
    for given, number in numbers.items():
        if number not in found:
            raise _no_such_item(given)
    return {given: found[number] for given, number in numbers.items() if number is not None}


def _no_such_item(given: str) -> NotFoundError:
    return NotFoundError(
        f"Item with id '{given}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input.",
        param="input",
        code="item_not_found",
    )


def _history_of_previous(tenant_code: str, previous_id: UUID | None) -> Items:
    if previous_id is None:
        return []
    turn = _finished(tenant_code, previous_id)
    return _history(turn.conversation_id, until=turn.end_position)


def _history(conversation_id: UUID, *, until: int) -> Items:
    return last_items(conversation_id, until=until, most_messages=MAX_MESSAGES)
