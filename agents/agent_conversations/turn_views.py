"""/v1/agents/{agent_id}/conversations/{conversation_id}/turns."""

from collections.abc import Callable
from uuid import UUID

from django.db import close_old_connections
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.connections import given_back
from agents.agent_conversations.commands import (
    cancel_turn,
    create_turn,
    find_turn,
    retry_turn,
    submit_tool_outputs,
)
from agents.agent_conversations.objects import turn_id as told_id
from agents.agent_conversations.objects import turn_object, turn_uuid
from agents.agent_conversations.params import RetryParams, ToolOutputsParams, TurnParams
from agents.agent_conversations.selectors import page
from agents.agent_conversations.turns import Asker
from agents.agent_conversations.views import AgentConversationsView, reach_of
from agents.client_tokens.authentication import client_of
from agents.conversations.objects import list_object
from agents.turns import services
from agents.turns.healing import heal_if_dead
from agents.turns.models import Turn
from agents.turns.reading import entries_of, follow_turn
from agents.turns.selectors import state_of, states_of
from billing.account.queries import invalid, page_size
from inference.idempotency.views import InferenceView
from inference.views import STREAM_HEADERS, cache_ttl_s, caller, request_id, shrinks_to_fit
from tenants.keys.authentication import ApiKeyAuthentication
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


class MakingView(AgentConversationsView, InferenceView):
    """Turns cost: what is true of all calls of models is true of them."""

    scope = Scope.AGENTS

    def idempotency_space(self, request: Request) -> str:
        """Each end user has keys of its own."""
        token = client_of(request)
        if token is None:
            return ""
        of = token.conversation_id.hex if token.conversation_id else ""
        return f"{token.key.key_id}/{token.agent_id.hex}/{of}/{token.end_user}/"


class TurnListView(MakingView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """Newest first; `after` is the last_id of the page before."""
        limit = page_size(request.query_params, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        given = request.query_params.get("after")
        after = turn_uuid(given) if given else None
        if given and after is None:
            raise invalid("after", "the id of a turn")
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            turns = Turn.objects.filter(conversation=found, agent=found.agent)
            rows, has_more = page(turns, after=after, limit=limit)
            states = states_of(rows)
        data = [turn_object(state, row.asked) for state, row in zip(states, rows, strict=True)]
        return JsonResponse(list_object(data, has_more=has_more))

    def post(self, request: Request, agent_id: str, conversation_id: str) -> HttpResponseBase:
        params = read_params(request, TurnParams)
        made = create_turn(_asker(request), reach_of(request, agent_id), conversation_id, params)
        return _answer(request, made, stream=params.stream, background=params.background)


class TurnView(AgentConversationsView):
    def get(
        self, request: Request, agent_id: str, conversation_id: str, turn_id: str
    ) -> HttpResponseBase:
        """`stream=true` reads its events, after the one that `Last-Event-ID` or `starting_after`
        names."""
        turn = _find(request, agent_id, conversation_id, turn_id)
        if request.query_params.get("stream") in {"true", "1"}:
            return event_stream(request, turn.pk, after=starting_after(request))
        return _told(request, turn.pk)


class CancelTurnView(AgentConversationsView):
    def post(
        self, request: Request, agent_id: str, conversation_id: str, turn_id: str
    ) -> JsonResponse:
        """What came until now is kept, and charged. A repeat answers the same; a turn that has
        ended stays as it is."""
        turn = _find(request, agent_id, conversation_id, turn_id)
        cancel_turn(caller(request).tenant_code, turn)
        return _told(request, turn.pk)


class ToolOutputsView(MakingView):
    def post(
        self, request: Request, agent_id: str, conversation_id: str, turn_id: str
    ) -> HttpResponseBase:
        """The turn goes on. A repeat is refused: it does not wait any more."""
        params = read_params(request, ToolOutputsParams)
        turn = _find(request, agent_id, conversation_id, turn_id)
        submit_tool_outputs(_asker(request), turn, params)
        return _answer(
            request,
            turn.pk,
            stream=params.stream,
            background=params.background,
            after=turn.next_event - 1,
        )


class RetryTurnView(MakingView):
    def post(
        self, request: Request, agent_id: str, conversation_id: str, turn_id: str
    ) -> HttpResponseBase:
        """A new turn with the same input, in place of the last one, whose items nobody reads any
        more."""
        params = read_params(request, RetryParams)
        turn = _find(request, agent_id, conversation_id, turn_id)
        made = retry_turn(_asker(request), turn)
        return _answer(request, made, stream=params.stream, background=params.background)


def starting_after(request: Request) -> int:
    text = request.query_params.get("starting_after") or request.headers.get("Last-Event-ID")
    if not text:
        return -1
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise invalid("starting_after", "the sequence_number of an event")
    return int(text)


def event_stream(
    request: Request, turn_id: UUID, *, after: int, headers: dict[str, str] | None = None
) -> StreamingHttpResponse:
    """Raises EventsGoneError where its events are not kept any more."""
    code, check = caller(request).tenant_code, _still_let_in(request)
    events = follow_turn(code, turn_id, after=after, check=check)
    return StreamingHttpResponse(
        events,
        content_type="text/event-stream; charset=utf-8",
        headers={**(headers or {}), **STREAM_HEADERS},
    )


def _still_let_in(request: Request) -> Callable[[], object] | None:
    """Whether a program or a browser may still read: keys are revoked, tokens' time is over."""
    authenticator = request.successful_authenticator
    if not isinstance(authenticator, ApiKeyAuthentication):
        return None
    return lambda: authenticator.authenticate(request)


def _answer(
    request: Request,
    number: UUID,
    *,
    stream: bool | None,
    background: bool | None,
    after: int = -1,
) -> HttpResponseBase:
    """The turn's events, or the turn: now, or at its end."""
    close_old_connections()
    headers = {"x-agentflare-turn": told_id(number)}
    if stream:
        return event_stream(request, number, after=after, headers=headers)
    if not background:
        for _ in entries_of(caller(request).tenant_code, number, after=after):
            pass
    return _told(request, number)


def _told(request: Request, number: UUID) -> JsonResponse:
    code = caller(request).tenant_code
    with given_back(), tenant_schema(code):
        turn = heal_if_dead(code, Turn.objects.get(pk=number))
        services.learn_costs(turn)
        told = turn_object(state_of(turn), turn.asked)
    return JsonResponse(told, headers={"x-agentflare-turn": told["id"]})


def _find(request: Request, agent_id: str, conversation_id: str, turn_id: str) -> Turn:
    """Raises NotFoundError."""
    reach = reach_of(request, agent_id)
    return find_turn(caller(request).tenant_code, reach, conversation_id, turn_id)


def _asker(request: Request) -> Asker:
    record = caller(request)
    return Asker(
        record=record,
        request_id=request_id(request),
        cache_ttl_s=cache_ttl_s(request, record),
        shrink_to_fit=shrinks_to_fit(request, record),
    )
