"""/v1/agents/{agent_id}/conversations: an agent's histories, for keys and for client tokens."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.connections import given_back
from agentflare.errors import InvalidRequestError
from agents.agent_conversations.commands import create_conversation
from agents.agent_conversations.objects import agent_conversation_object
from agents.agent_conversations.params import (
    AgentConversationParams,
    AgentConversationUpdateParams,
    MessagesParams,
)
from agents.agent_conversations.reach import Reach, as_not_found
from agents.agent_conversations.selectors import conversations_of, costs_of, page
from agents.client_tokens.authentication import ClientAuthentication, client_of
from agents.client_tokens.views import MAX_END_USER
from agents.conversations import services
from agents.conversations.items import require_readable
from agents.conversations.models import Conversation
from agents.conversations.objects import item_object, list_object, uuid_of
from agents.conversations.pages import items_page, require_item_uuid
from agents.conversations.params import ConversationForkParams
from agents.conversations.selectors import items_of_conversation, within
from agents.definitions.views import AgentsView
from billing.account.queries import invalid, page_size
from inference.views import caller
from tenants.registry.schemas import tenant_schema

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
_EXPORT_PAGE = 500


class AgentConversationsView(AgentsView):
    authentication_classes = (ClientAuthentication,)

    def handle_exception(self, exc: Exception) -> Any:
        return super().handle_exception(as_not_found(exc))


class AgentConversationListView(AgentConversationsView):
    def get(self, request: Request, agent_id: str) -> JsonResponse:
        """Newest first; `end_user` narrows it to one of your users."""
        query, client = request.query_params, client_of(request)
        limit = page_size(query, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        after = _after(query.get("after"), "conv")
        end_user = query.get("end_user")
        if end_user is not None and ("\0" in end_user or len(end_user) > MAX_END_USER):
            raise invalid("end_user", "the id of one of your users")
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent = reach_of(request, agent_id).agent()
            found = conversations_of(agent.pk, client=client, end_user=end_user)
            rows, has_more = page(found, after=after, limit=limit)
            costs = costs_of(row.pk for row in rows)
        data = [agent_conversation_object(row, cost_nusd=costs.get(row.pk, 0)) for row in rows]
        return JsonResponse(list_object(data, has_more=has_more))

    def post(self, request: Request, agent_id: str) -> JsonResponse:
        params = read_params(request, AgentConversationParams)
        made = create_conversation(caller(request).tenant_code, reach_of(request, agent_id), params)
        return JsonResponse(made)


class AgentConversationView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            return _told(found)

    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        params = read_params(request, AgentConversationUpdateParams)
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            given = params.model_fields_set
            changed = services.update_conversation(
                found.pk,
                title=(params.title or "") if "title" in given else None,
                metadata=(params.metadata or {}) if "metadata" in given else None,
            )
            return _told(changed)

    def delete(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """With its messages and turns; what it has cost stays in the ledger."""
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            services.delete_conversation(found.pk)
        return JsonResponse(
            {"id": conversation_id, "object": "agent.conversation.deleted", "deleted": True}
        )


class AgentForkView(AgentConversationsView):
    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """Another conversation with the same items up to one of them. A repeat makes one more."""
        params = read_params(request, ConversationForkParams)
        until = None if params.until is None else require_item_uuid(params.until)
        with given_back(), tenant_schema(caller(request).tenant_code):
            reach = reach_of(request, agent_id)
            reach.require_all_conversations()
            found = reach.conversation(conversation_id)
            copy = services.fork(found.pk, until=until, metadata=params.metadata)
        return JsonResponse(agent_conversation_object(copy, cost_nusd=0))


class MessageListView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """Newest first unless `order=asc`; `after` is the last_id of the page before."""
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            return items_page(items_of_conversation(found.pk), request.query_params)

    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        params = read_params(request, MessagesParams)
        require_readable(params.items, param="items")
        reach_of(request, agent_id).require_own_words(params.items, param="items")
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            rows = services.add_items(found.pk, [item.told() for item in params.items])
        return JsonResponse(list_object([item_object(row) for row in rows], has_more=False))


class ExportView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> HttpResponseBase:
        """All of it as JSON Lines: the conversation, then its items, the oldest first."""
        code = caller(request).tenant_code
        with given_back(), tenant_schema(code):
            found = reach_of(request, agent_id).conversation(conversation_id)
            cost_nusd = costs_of([found.pk]).get(found.pk, 0)
        head = agent_conversation_object(found, cost_nusd=cost_nusd)
        return StreamingHttpResponse(
            _lines(code, found.pk, head),
            content_type="application/jsonl",
            headers={"Content-Disposition": f'attachment; filename="{conversation_id}.jsonl"'},
        )


def _lines(code: str, conversation_id: UUID, head: dict[str, Any]) -> Iterator[bytes]:
    yield orjson.dumps(head) + b"\n"
    after, is_all = -1, False
    while not is_all:
        with given_back(), tenant_schema(code):
            items = items_of_conversation(conversation_id).filter(position__gt=after)
            rows, has_all = within(items.order_by("position")[:_EXPORT_PAGE])
        is_all = has_all and len(rows) < _EXPORT_PAGE
        if not rows:
            return
        after = rows[-1].position
        yield b"".join(orjson.dumps(item_object(row)) + b"\n" for row in rows)


def reach_of(request: Request, agent_id: str) -> Reach:
    return Reach(agent_id, client_of(request))


def _told(conversation: Conversation) -> JsonResponse:
    cost_nusd = costs_of([conversation.pk]).get(conversation.pk, 0)
    return JsonResponse(agent_conversation_object(conversation, cost_nusd=cost_nusd))


def _after(given: str | None, prefix: str) -> UUID | None:
    if not given:
        return None
    if (number := uuid_of(given, prefix)) is None:
        raise InvalidRequestError(
            "There is nothing with this id.", param="after", code="invalid_value"
        )
    return number
