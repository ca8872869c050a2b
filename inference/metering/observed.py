"""A call has ended: what metrics tell of it."""

from agentflare import metrics
from agentflare.metrics import of
from agentflare.money import NUSD_PER_USD
from billing.usage.events import UsageEvent


def observe(event: UsageEvent, *, cost_nusd: int) -> None:
    """Once for each call. cost_nusd: as it was captured."""
    model = event.ai_model
    of(metrics.CALLS, model, event.status).inc()
    of(metrics.DURATION, model).observe(event.duration_ms / 1000)
    if event.first_token_ms is not None:
        of(metrics.FIRST_TOKEN, model).observe(event.first_token_ms / 1000)
    for kind, count in (
        ("input", event.input_tokens),
        ("cached_input", event.cached_input_tokens),
        ("output", event.output_tokens),
    ):
        if count:
            of(metrics.TOKENS, model, kind).inc(count)
    of(metrics.REVENUE, model).inc(cost_nusd / NUSD_PER_USD)
    of(metrics.PROVIDER_COST, model).inc(event.provider_cost_nusd / NUSD_PER_USD)
