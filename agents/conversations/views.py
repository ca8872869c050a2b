"""/v1/conversations, as OpenAI's API has it, and forks of them."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, read_params
from agentflare.errors import NotFoundError
from agents.conversations import services
from agents.conversations.items import require_readable
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import (
    conversation_object,
    item_object,
    list_object,
    uuid_of,
)
from agents.conversations.pages import items_page, require_item_uuid
from agents.conversations.params import (
    ConversationForkParams,
    ConversationItemsParams,
    ConversationParams,
    ConversationUpdateParams,
)
from agents.conversations.selectors import items_of_conversation
from inference.views import caller
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema


class ConversationsView(ApiView):
    scope = Scope.AGENTS

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


class ConversationListView(ConversationsView):
    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, ConversationParams)
        items = params.items or []
        require_readable(items, param="items")
        with tenant_schema(caller(request).tenant_code):
            conversation = services.create_conversation(
                metadata=params.metadata or {}, items=[item.told() for item in items]
            )
        return JsonResponse(conversation_object(conversation))


class ConversationView(ConversationsView):
    def get(self, request: Request, conversation_id: str) -> JsonResponse:
        with tenant_schema(caller(request).tenant_code):
            found = Conversation.objects.get(pk=_conversation_uuid(conversation_id))
        return JsonResponse(conversation_object(found))

    def post(self, request: Request, conversation_id: str) -> JsonResponse:
        params = read_params(request, ConversationUpdateParams)
        with tenant_schema(caller(request).tenant_code):
            changed = services.set_metadata(
                _conversation_uuid(conversation_id), params.metadata or {}
            )
        return JsonResponse(conversation_object(changed))

    def delete(self, request: Request, conversation_id: str) -> JsonResponse:
        with tenant_schema(caller(request).tenant_code):
            services.delete_conversation(_conversation_uuid(conversation_id))
        return JsonResponse(
            {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
        )


class ForkView(ConversationsView):
    def post(self, request: Request, conversation_id: str) -> JsonResponse:
        """Another conversation with the same items up to one of them. A repeat makes one more."""
        params = read_params(request, ConversationForkParams)
        until = None if params.until is None else require_item_uuid(params.until)
        with tenant_schema(caller(request).tenant_code):
            copy = services.fork(
                _conversation_uuid(conversation_id), until=until, metadata=params.metadata
            )
        return JsonResponse(conversation_object(copy))


class ItemListView(ConversationsView):
    def get(self, request: Request, conversation_id: str) -> JsonResponse:
        """Newest first unless `order=asc`; `after` is the last_id of the page before."""
        with tenant_schema(caller(request).tenant_code):
            found = Conversation.objects.get(pk=_conversation_uuid(conversation_id))
            return items_page(items_of_conversation(found.pk), request.query_params)

    def post(self, request: Request, conversation_id: str) -> JsonResponse:
        params = read_params(request, ConversationItemsParams)
        require_readable(params.items, param="items")
        with tenant_schema(caller(request).tenant_code):
            rows = services.add_items(
                _conversation_uuid(conversation_id), [item.told() for item in params.items]
            )
        return JsonResponse(list_object([item_object(row) for row in rows], has_more=False))


class ItemView(ConversationsView):
    def get(self, request: Request, conversation_id: str, item_id: str) -> JsonResponse:
        with tenant_schema(caller(request).tenant_code):
            found = Conversation.objects.get(pk=_conversation_uuid(conversation_id))
            item = found.items.get(pk=require_item_uuid(item_id))
        return JsonResponse(item_object(item))

    def delete(self, request: Request, conversation_id: str, item_id: str) -> JsonResponse:
        """Answers the conversation, as OpenAI does."""
        with tenant_schema(caller(request).tenant_code):
            found = Conversation.objects.get(pk=_conversation_uuid(conversation_id))
            if not services.delete_item(found, require_item_uuid(item_id)):
                raise Item.DoesNotExist
        return JsonResponse(conversation_object(found))


def _conversation_uuid(text: str) -> UUID:
    if (found := uuid_of(text, "conv")) is None:
        raise Conversation.DoesNotExist
    return found
