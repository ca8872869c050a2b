"""/v1/agents/{agent_id}/conversations: an agent's histories, for keys and for client tokens."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.connections import given_back
from agentflare.errors import InvalidRequestError, NotFoundError
from agents.agent_conversations.objects import agent_conversation_object
from agents.agent_conversations.params import (
    AgentConversationParams,
    AgentConversationUpdateParams,
    MessagesParams,
)
from agents.agent_conversations.selectors import conversations_of, costs_of, page
from agents.client_tokens.authentication import ClientAuthentication, client_of
from agents.conversations import services
from agents.conversations.items import require_readable
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import item_object, item_uuid, list_object, uuid_of
from agents.conversations.params import ConversationForkParams
from agents.conversations.selectors import page_of_items
from agents.definitions.models import Agent
from agents.definitions.views import AgentsView, find_agent
from billing.account.queries import choice, page_size
from inference.views import caller
from tenants.registry.schemas import tenant_schema

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100
_EXPORT_PAGE = 500


class AgentConversationsView(AgentsView):
    authentication_classes = (ClientAuthentication,)

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, Conversation.DoesNotExist):
            exc = NotFoundError(
                f"Conversation with id '{self.kwargs['conversation_id']}' not found.",
                code="conversation_not_found",
            )
        elif isinstance(exc, Item.DoesNotExist):
            exc = NotFoundError(
                "There is no such item in this conversation.", code="item_not_found"
            )
        return super().handle_exception(exc)


class AgentConversationListView(AgentConversationsView):
    def get(self, request: Request, agent_id: str) -> JsonResponse:
        """Newest first; `end_user` narrows it to one of your users."""
        query, client = request.query_params, client_of(request)
        limit = page_size(query, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        after = _after(query.get("after"), "conv")
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent = readable_agent(request, agent_id)
            found = conversations_of(agent.pk, client=client, end_user=query.get("end_user"))
            rows, has_more = page(found, after=after, limit=limit)
            costs = costs_of(row.pk for row in rows)
        data = [agent_conversation_object(row, cost_nusd=costs.get(row.pk, 0)) for row in rows]
        return JsonResponse(list_object(data, has_more=has_more))

    def post(self, request: Request, agent_id: str) -> JsonResponse:
        params = read_params(request, AgentConversationParams)
        items = params.items or []
        require_readable(items, param="items")
        client = client_of(request)
        if client is not None and client.conversation_id is not None:
            raise NotFoundError(
                "This client token is for one conversation.", code="not_for_client_tokens"
            )
        end_user = client.end_user if client else params.end_user or ""
        with given_back(), tenant_schema(caller(request).tenant_code):
            agent = readable_agent(request, agent_id)
            made = services.create_conversation(
                metadata=params.metadata or {},
                items=[item.told() for item in items],
                agent_id=agent.pk,
                end_user=end_user,
                title=params.title or "",
            )
        return JsonResponse(agent_conversation_object(made, cost_nusd=0))


class AgentConversationView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = readable_conversation(request, agent_id, conversation_id)
            return _told(found)

    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        params = read_params(request, AgentConversationUpdateParams)
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = readable_conversation(request, agent_id, conversation_id)
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
            found = readable_conversation(request, agent_id, conversation_id)
            services.delete_conversation(found.pk)
        return JsonResponse(
            {"id": conversation_id, "object": "agent.conversation.deleted", "deleted": True}
        )


class AgentForkView(AgentConversationsView):
    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """Another conversation with the same items up to one of them. A repeat makes one more."""
        params = read_params(request, ConversationForkParams)
        until = None if params.until is None else _item_uuid(params.until)
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = readable_conversation(request, agent_id, conversation_id)
            copy = services.fork(found.pk, until=until, metadata=params.metadata)
        return JsonResponse(agent_conversation_object(copy, cost_nusd=0))


class MessageListView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        """Newest first unless `order=asc`; `after` is the last_id of the page before."""
        query = request.query_params
        limit = page_size(query, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        order = choice(query.get("order") or "desc", ["asc", "desc"], param="order")
        after = _item_uuid(query["after"]) if query.get("after") else None
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = readable_conversation(request, agent_id, conversation_id)
            rows, has_more = page_of_items(
                found.pk, after=after, limit=limit, newest_first=order == "desc"
            )
        return JsonResponse(list_object([item_object(row) for row in rows], has_more=has_more))

    def post(self, request: Request, agent_id: str, conversation_id: str) -> JsonResponse:
        params = read_params(request, MessagesParams)
        require_readable(params.items, param="items")
        with given_back(), tenant_schema(caller(request).tenant_code):
            found = readable_conversation(request, agent_id, conversation_id)
            rows = services.add_items(found.pk, [item.told() for item in params.items])
        return JsonResponse(list_object([item_object(row) for row in rows], has_more=False))


class ExportView(AgentConversationsView):
    def get(self, request: Request, agent_id: str, conversation_id: str) -> HttpResponseBase:
        """All of it as JSON Lines: the conversation, then its items, the oldest first."""
        code = caller(request).tenant_code
        with given_back(), tenant_schema(code):
            found = readable_conversation(request, agent_id, conversation_id)
            cost_nusd = costs_of([found.pk]).get(found.pk, 0)
        head = agent_conversation_object(found, cost_nusd=cost_nusd)
        return StreamingHttpResponse(
            _lines(code, found.pk, head),
            content_type="application/jsonl",
            headers={"Content-Disposition": f'attachment; filename="{conversation_id}.jsonl"'},
        )


def _lines(code: str, conversation_id: UUID, head: dict[str, Any]) -> Iterator[bytes]:
    yield orjson.dumps(head) + b"\n"
    after: UUID | None = None
    has_more = True
    while has_more:
        with given_back(), tenant_schema(code):
            rows, has_more = page_of_items(
                conversation_id, after=after, limit=_EXPORT_PAGE, newest_first=False
            )
        if rows:
            after = rows[-1].pk
            yield b"".join(orjson.dumps(item_object(row)) + b"\n" for row in rows)


def readable_agent(request: Request, agent_id: str) -> Agent:
    """In the tenant's schema. Raises Agent.DoesNotExist or NotFoundError."""
    agent = find_agent(agent_id)
    if client := client_of(request):
        client.require_agent(agent.pk)
    return agent


def readable_conversation(request: Request, agent_id: str, conversation_id: str) -> Conversation:
    """In the tenant's schema. Raises what is told as 404."""
    agent = readable_agent(request, agent_id)
    if (number := uuid_of(conversation_id, "conv")) is None:
        raise Conversation.DoesNotExist
    found = Conversation.objects.select_related("agent").get(pk=number, agent=agent)
    client = client_of(request)
    if client and not client.may_read(conversation_id=found.pk, end_user=found.end_user):
        raise Conversation.DoesNotExist
    return found


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


def _item_uuid(text: str) -> UUID:
    if (found := item_uuid(text)) is None:
        raise Item.DoesNotExist
    return found
