"""What a call is measured against beside money, and how close it has come."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenants.limits import NO_BUDGETS, NO_LIMITS, Budgets, Limits

# A second is counted until all of it is 60 seconds old.
WINDOW_S = 61
# The windows, in the order in which all scripts have them.
SCOPES = ("workspace", "API key", "API key at this model")


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of the tenant, of its key, and of the key at the model; budgets of the key."""

    tenant: Limits = NO_LIMITS
    key: Limits = NO_LIMITS
    key_at_model: Limits = NO_LIMITS
    budgets: Budgets = NO_BUDGETS

    @property
    def limits(self) -> tuple[Limits, Limits, Limits]:
        return self.tenant, self.key, self.key_at_model


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call is counted: in which windows ('1' or '0' for each of SCOPES), and as what.

    second: of Redis' clock; 0: not known, its tokens are not corrected when it ends.
    """

    windows: str = ""
    second: int = 0
    tokens: int = 0


NOT_COUNTED = Place()


@dataclass(frozen=True, slots=True)
class Count:
    """What a window had, the call itself included, and its limits."""

    limits: Limits
    requests: int
    tokens: int
    running: int = 0


def counts_of(rules: Rules, facts: Sequence[str | int]) -> list[Count]:
    """From admit.lua's answer: the window's number, requests, tokens and calls, and again."""
    quads = zip(*(iter(int(fact) for fact in facts),) * 4, strict=True)
    return [
        Count(rules.limits[number - 1], requests, tokens, running)
        for number, requests, tokens, running in quads
    ]


def rate_limit_headers(counts: Sequence[Count]) -> dict[str, str]:
    """`x-ratelimit-*` in OpenAI's form, each kind for the window that is nearest to its limit.

    Reset tells when all of the limit is free again if nothing more is called: a minute after
    the last call.
    """
    headers = {}
    for kind in ("requests", "tokens"):
        lefts = []
        for count in counts:
            limit = getattr(count.limits, f"{kind}_per_minute")
            if limit is not None:
                lefts.append((max(0, limit - getattr(count, kind)), limit))
        if lefts:
            left, limit = min(lefts)
            headers[f"x-ratelimit-limit-{kind}"] = str(limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(left)
            headers[f"x-ratelimit-reset-{kind}"] = as_span(WINDOW_S if left < limit else 0)
    return headers


def as_span(seconds: float) -> str:
    """As OpenAI writes it: "120ms", "1s", "6m0s"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
