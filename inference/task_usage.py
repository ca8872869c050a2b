"""What a call used and cost, in the body of its answer."""

from typing import Any

from billing.prices.models import Unit
from inference.pipeline import Told
from inference.tasks import Done


def money_fields(told: Told) -> dict[str, str | None]:
    """Money is a string: JavaScript loses large integers."""
    return {
        "estimated_cost": told.estimated_cost,
        "request_cost": told.request_cost,
        "balance_remaining": told.balance_remaining,
    }


def usage_of(done: Done) -> dict[str, Any]:
    """OpenAI's names for tokens, the rest by unit, and the money."""
    used = done.used
    usage: dict[str, Any] = {}
    if Unit.INPUT_TOKENS in used.quantities:
        prompt, completion = used.tokens(Unit.INPUT_TOKENS), used.tokens(Unit.OUTPUT_TOKENS)
        usage = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
        if completion:
            usage["completion_tokens"] = completion
    return {**usage, **used.others, **money_fields(done.told)}
