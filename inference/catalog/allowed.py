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
