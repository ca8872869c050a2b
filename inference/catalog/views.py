"""GET /v1/models, as in OpenAI's API reference, or in Anthropic's for its clients."""

from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse
from agentflare.envelopes import speaks_anthropic
from inference.catalog.objects import (
    anthropic_list,
    anthropic_object,
    model_object,
    route_object,
)
from inference.catalog.selectors import Offer, RoutePlan, catalogue
from inference.chat.prepare import KINDS


class ModelListView(ApiView):
    """Every AI model that is served, with context, capabilities and prices; and the routes.

    Anthropic's clients read those that messages can be sent to.
    """

    def get(self, request: Request) -> JsonResponse:
        snapshot = catalogue()
        plans = [
            _plan_of(offer)
            for name, offer in snapshot.offers.items()
            if name not in snapshot.routes
        ]
        if speaks_anthropic(request._request):
            everything = [*plans, *snapshot.routes.values()]
            takes_messages = [plan for plan in everything if plan.offers[0].kind in KINDS]
            return JsonResponse(anthropic_list(takes_messages))
        data = [model_object(plan.offers[0]) for plan in plans]
        data += [route_object(plan) for plan in snapshot.routes.values()]
        return JsonResponse({"object": "list", "data": data})


class ModelView(ApiView):
    """GET /v1/models/{id}, by friendly id, Cloudflare's or a route's."""

    def get(self, request: Request, name: str) -> JsonResponse:
        snapshot = catalogue()
        if speaks_anthropic(request._request):
            plan = snapshot.routes.get(name) or _plan_of(snapshot.find(name))
            return JsonResponse(anthropic_object(plan))
        if name in snapshot.routes:
            return JsonResponse(route_object(snapshot.routes[name]))
        return JsonResponse(model_object(snapshot.find(name)))


def _plan_of(offer: Offer) -> RoutePlan:
    return RoutePlan(offer.name, [(offer, 1)])
