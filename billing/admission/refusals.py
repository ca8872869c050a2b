"""What the client reads when the gate says no."""

from collections.abc import Sequence

from agentflare import errors
from agentflare.money import format_usd
from billing.admission.rules import SCOPES

_UNITS = {"requests": "requests per minute", "tokens": "tokens per minute"}


def refusal_of(
    verdict: str, facts: Sequence[str], *, amount_nusd: int, tokens: int
) -> errors.GatewayError:
    """verdict, facts: see scripts/admit.lua. amount_nusd, tokens: what was asked for."""
    match verdict:
        case "suspended":
            return errors.TenantSuspendedError(f"This account is suspended: {facts[0]}")
        case "limited":
            return _limited(facts, tokens)
        case "budget":
            return _over_budget(facts, amount_nusd)
        case "insufficient":
            return errors.InsufficientCreditError(
                "You exceeded your current quota: your credit does not pay for this call. "
                f"{_may_cost(amount_nusd)}, and ${format_usd(int(facts[0]))} is available. Add "
                "credit in the dashboard, or lower max_tokens.",
                available_nusd=int(facts[0]),
            )
        case "credit_held":
            return errors.CreditHeldError(
                f"{_may_cost(amount_nusd)}, and your running calls hold "
                f"${format_usd(int(facts[1]))} of your credit: ${format_usd(int(facts[0]))} is "
                "available. Retry when they have ended.",
                available_nusd=int(facts[0]),
            )
    raise AssertionError(f"admit.lua answered {verdict!r}")


def _limited(facts: Sequence[str], tokens: int) -> errors.RateLimitError:
    number, kind, limit, used, wait_ms = facts
    scope = SCOPES[int(number) - 1]
    if kind == "concurrent":
        return errors.RateLimitError(
            f"Rate limit reached for this {scope} on concurrent calls: limit {limit}, running "
            f"{used}. Please try again when one of them has ended.",
            kind="requests",
            retry_after_s=int(wait_ms) / 1000,
        )
    asked = tokens if kind == "tokens" else 1
    reached = f"for this {scope} on {_UNITS[kind]}: limit {limit}, used {used}, requested {asked}"
    if int(wait_ms) < 0:
        return errors.RateLimitError(
            f"Request too large {reached}. It can never be let through: ask for less, with a "
            "shorter prompt or a lower max_tokens."
            if kind == "tokens"
            else f"Rate limit reached {reached}.",
            kind=kind,
            retry_after_s=None,
        )
    return errors.RateLimitError(
        f"Rate limit reached {reached}. Please try again in {int(wait_ms) / 1000:g}s.",
        kind=kind,
        retry_after_s=int(wait_ms) / 1000,
    )


def limit_in_doubt(number: int, kind: str, *, retry_after_s: float) -> errors.RateLimitError:
    """Not all that was admitted in the last minute is known. kind: as a window counts."""
    scope, units = SCOPES[number - 1], _UNITS.get(kind, "concurrent calls")
    return errors.RateLimitError(
        f"One of the service's stores has just failed, and it is not known yet how much of the "
        f"limit of this {scope} on {units} is used. Please try again in {retry_after_s:.3g}s.",
        kind="tokens" if kind == "tokens" else "requests",
        retry_after_s=retry_after_s,
    )


def _over_budget(facts: Sequence[str], amount_nusd: int) -> errors.KeyBudgetError:
    period, *amounts = facts
    budget, spent, held = (int(amount) for amount in amounts)
    span = {"day": "a day (UTC)", "month": "a month (UTC)", "life": "its life"}[period]
    message = (
        f"This API key may spend ${format_usd(budget)} in {span}. {_may_cost(amount_nusd)}, "
        f"${format_usd(spent)} is spent"
    )
    if held:
        message += f" and ${format_usd(held)} is held by its running calls"
    return errors.KeyBudgetError(
        f"{message}. Raise the budget in the dashboard, or lower max_tokens.",
        is_held=spent + amount_nusd <= budget,
        available_nusd=budget - spent - held,
    )


def _may_cost(amount_nusd: int) -> str:
    return f"This call may cost up to ${format_usd(amount_nusd)}"
