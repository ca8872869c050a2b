"""Pages of items, as OpenAI's lists have them: of a conversation, of a response's input."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict

from agentflare.api import JsonResponse
from agentflare.errors import InvalidRequestError
from agents.conversations.models import Item
from agents.conversations.objects import item_object, item_uuid, list_object
from agents.conversations.selectors import page_of
from billing.account.queries import choice, page_size

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


def items_page(items: QuerySet[Item], query: QueryDict) -> JsonResponse:
    """Newest first unless `order=asc`; `after` is the last_id of the page before.

    In the tenant's schema. Raises InvalidRequestError.
    """
    limit = page_size(query, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
    order = choice(query.get("order") or "desc", ["asc", "desc"], param="order")
    try:
        given = query.get("after")
        after = require_item_uuid(given) if given else None
        rows, has_more = page_of(items, after=after, limit=limit, newest_first=order == "desc")
    except Item.DoesNotExist:
        raise InvalidRequestError(
            "There is no such item here.", param="after", code="invalid_value"
        ) from None
    return JsonResponse(list_object([item_object(row) for row in rows], has_more=has_more))


def require_item_uuid(text: str) -> UUID:
    """Raises Item.DoesNotExist for what is no item's id."""
    if (found := item_uuid(text)) is None:
        raise Item.DoesNotExist
    return found
