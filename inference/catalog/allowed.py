"""Which AI models and routes an API key may call."""

from agentflare.errors import ModelNotFoundError
from inference.catalog.selectors import RoutePlan
from tenants.keys.lookup import KeyRecord


def may_call(record: KeyRecord, plan: RoutePlan) -> bool:
    """A key without a list may call everything; a route counts by its own name."""
    if not record.ai_models or plan.own_name in record.ai_models:
        return True
    return not plan.is_route and plan.offers[0].upstream_model in record.ai_models


def require_allowed(record: KeyRecord, plan: RoutePlan) -> None:
    """Raises ModelNotFoundError, which says why."""
    if not may_call(record, plan):
        raise ModelNotFoundError(
            plan.name[:200], why="is not among the models that this API key may call"
        )
    if not is_open_to(record.tenant_code, plan):
        offer = plan.offers[0]
        until = f" on {offer.ends_on}" if offer.ends_on else ""
        instead = f". Use `{offer.successor}` instead" if offer.successor else ""
        raise ModelNotFoundError(
            plan.name[:200],
            why=f"is being retired{until} and takes no new users{instead}",
        )


def is_open_to(tenant_code: str, plan: RoutePlan) -> bool:
    """A model that drains goes on for those who used it. Where a route leads is the operator's
    to choose."""
    return plan.is_route or plan.offers[0].is_open_to(tenant_code)


def is_listed_for(tenant_code: str, plan: RoutePlan) -> bool:
    return plan.is_route or plan.offers[0].is_listed_for(tenant_code)
