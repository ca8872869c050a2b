"""/v1/responses, as OpenAI's API has it."""

from collections.abc import Iterator
from typing import Any

from django.db import close_old_connections
from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, read_params
from agentflare.connections import given_back
from agentflare.errors import InvalidRequestError, NotFoundError
from agents.agent_conversations.commands import cancel_turn
from agents.agent_conversations.turn_views import event_stream, starting_after
from agents.conversations.pages import items_page
from agents.responses.create import begin_response, call_for
from agents.responses.objects import response_object, response_uuid
from agents.responses.params import ResponseParams
from agents.turns import cancels, services
from agents.turns.background import run_in_background
from agents.turns.healing import heal_if_dead
from agents.turns.models import Turn
from agents.turns.run import TurnRun
from agents.turns.selectors import items_of, state_of
from agents.turns.sse import sse
from inference import progress
from inference.idempotency.once import has_idempotency_key
from inference.idempotency.views import InferenceView
from inference.views import RunStream, cache_ttl_s, caller, request_id, shrinks_to_fit
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema


class ResponseListView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, ResponseParams)
        record = caller(request)
        progress.note_asked(request_id(request), params.model)
        call = call_for(
            record,
            params,
            request_id=request_id(request),
            cache_ttl_s=cache_ttl_s(request, record),
            shrink_to_fit=shrinks_to_fit(request, record),
            # One in the background is charged for what it has told, whoever asks for it again.
            is_idempotent=has_idempotency_key(request._request) and not params.background,
        )
        run = begin_response(call, params)
        run.admit()
        # Admission may have asked PostgreSQL; a stream must not keep the connection to its end.
        close_old_connections()
        if params.background:
            return _in_background(request, run, is_stream=bool(params.stream))
        if params.stream:
            return RunStream(_Streamed(run), request=request)
        run.start()
        whole = run.whole()
        return JsonResponse(whole, headers=run.headers())


class _Streamed:
    """A turn that its client reads while it is made, and that ends with its client."""

    def __init__(self, run: TurnRun) -> None:
        self.run = run
        self.admitted = run.admitted
        self.client_left = run.client_left
        self.close = run.close
        self.headers = run.headers

    def start(self) -> None:
        self.run.start()

    def chunks(self) -> Iterator[bytes]:
        for event in self.run.events():
            if not self.run.has_lost_client:
                yield sse(event)


def _in_background(request: Request, run: TurnRun, *, is_stream: bool) -> HttpResponseBase:
    """It goes on without its client."""
    headers = run.headers()
    queued = run.face.object(run.state)
    run_in_background(run)
    if not is_stream:
        return JsonResponse(queued, headers=headers)
    return event_stream(request, run.state.id, after=-1, headers=headers)


class ResponsesView(ApiView):
    scope = Scope.INFERENCE

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, Turn.DoesNotExist):
            given = self.kwargs["response_id"]
            exc = NotFoundError(f"Response with id '{given}' not found.", code="response_not_found")
        return super().handle_exception(exc)


class ResponseView(ResponsesView):
    def get(self, request: Request, response_id: str) -> HttpResponseBase:
        """`stream=true` reads its events, from the one after `starting_after` on."""
        code = caller(request).tenant_code
        with given_back(), tenant_schema(code):
            turn = heal_if_dead(code, _find(response_id))
            services.learn_costs(turn)
            told = response_object(state_of(turn), turn.asked)
        if request.query_params.get("stream") not in {"true", "1"}:
            return JsonResponse(told)
        return event_stream(request, turn.pk, after=starting_after(request))

    def delete(self, request: Request, response_id: str) -> JsonResponse:
        """One that is under way is cancelled first."""
        code = caller(request).tenant_code
        with given_back(), tenant_schema(code):
            turn = _find(response_id)
            if turn.is_running:
                cancels.cancel(turn.pk)
            services.delete(turn.pk)
        return JsonResponse({"id": response_id, "object": "response", "deleted": True})


class CancelView(ResponsesView):
    def post(self, request: Request, response_id: str) -> JsonResponse:
        """A repeat answers the same. One that has ended stays as it is."""
        code = caller(request).tenant_code
        with given_back(), tenant_schema(code):
            turn = heal_if_dead(code, _find(response_id))
        if not turn.is_background:
            raise InvalidRequestError(
                "Cannot cancel a synchronous response: it ends with its connection.",
                code="invalid_value",
            )
        cancel_turn(code, turn)
        with given_back(), tenant_schema(code):
            turn = Turn.objects.get(pk=turn.pk)
            told = response_object(state_of(turn), turn.asked)
        return JsonResponse(told)


class InputItemsView(ResponsesView):
    def get(self, request: Request, response_id: str) -> JsonResponse:
        with given_back(), tenant_schema(caller(request).tenant_code):
            items = items_of(_find(response_id), is_output=False)
            return items_page(items, request.query_params)


def _find(response_id: str) -> Turn:
    number = response_uuid(response_id)
    if number is None:
        raise Turn.DoesNotExist
    return Turn.objects.get(pk=number, is_stored=True, agent=None)
