"""GET /v1/models, as in OpenAI's API reference, or in Anthropic's for its clients."""

from typing import Any

from rest_framework.request import Request

from agentflare.api import JsonResponse
from agentflare.envelopes import speaks_anthropic
from inference.catalog.allowed import is_listed_for, may_call, require_allowed
from inference.catalog.objects import (
    anthropic_list,
    anthropic_object,
    model_object,
    route_object,
)
from inference.catalog.selectors import Offer, RoutePlan, catalogue
from inference.chat.prepare import KINDS
from inference.limits import LimitedView
from inference.views import caller


class ModelListView(LimitedView):
    """Every AI model that is served, with context, capabilities and prices; and the routes.

    Anthropic's clients read those that messages can be sent to.
    """

    def get(self, request: Request) -> JsonResponse:
        record = caller(request)
        snapshot = catalogue().of(record.tenant_code)
        plans = [
            *(_plan_of(offer) for offer in snapshot.offers.values()),
            *snapshot.routes.values(),
        ]
        # A route stands before an AI model of its name.
        by_name = {plan.name: plan for plan in plans}
        plans = [
            plan
            for plan in by_name.values()
            if may_call(record, plan) and is_listed_for(record.tenant_code, plan)
        ]
        if speaks_anthropic(request._request):
            takes_messages = [plan for plan in plans if plan.offers[0].kind in KINDS]
            return JsonResponse(anthropic_list(takes_messages))
        return JsonResponse({"object": "list", "data": [_object(plan) for plan in plans]})


class ModelView(LimitedView):
    """GET /v1/models/{id}, by friendly id, Cloudflare's or a route's."""

    def get(self, request: Request, name: str) -> JsonResponse:
        record = caller(request)
        snapshot = catalogue().of(record.tenant_code)
        plan = snapshot.routes.get(name) or _plan_of(snapshot.find(name))
        require_allowed(record, plan)
        if speaks_anthropic(request._request):
            return JsonResponse(anthropic_object(plan))
        return JsonResponse(_object(plan))


def _object(plan: RoutePlan) -> dict[str, Any]:
    return route_object(plan) if plan.is_route else model_object(plan.offers[0])


def _plan_of(offer: Offer) -> RoutePlan:
    return RoutePlan(offer.name, [(offer, 1)])
