"""Captured calls as web processes leave them: realistic, and the same each time."""

import random
import time

from agentflare.ids import uuid7
from billing.usage.events import UsageEvent

# (AI model, upstream's name, endpoint, share of the calls)
MODELS = (
    ("llama-3.3-70b-fast", "@cf/meta/llama-3.3-70b-instruct-fp8-fast", "chat/completions", 50),
    ("gpt-oss-20b", "@cf/openai/gpt-oss-20b", "chat/completions", 30),
    ("qwen-3-30b", "@cf/qwen/qwen3-30b-a3b-fp8", "messages", 10),
    ("bge-m3", "@cf/baai/bge-m3", "embeddings", 10),
)
# (how it ended, what was wrong, share)
ENDS = (
    ("completed", "", 96),
    ("client_gone", "", 2),
    ("upstream_failed", "upstream_error", 2),
)


def usage_event(chance: random.Random, *, tenant_code: str, key_id: str) -> UsageEvent:
    ai_model, upstream_model, endpoint, _ = chance.choices(MODELS, [x[-1] for x in MODELS])[0]
    status, error_code, _ = chance.choices(ENDS, [x[-1] for x in ENDS])[0]
    is_charged = status != "upstream_failed"
    tokens = chance.randint(50, 4_000), chance.randint(1, 800)
    cost_nusd = (tokens[0] * 352 + tokens[1] * 2_703) * is_charged
    return UsageEvent(
        request_id=uuid7().hex,
        tenant_code=tenant_code,
        key_id=key_id,
        endpoint=endpoint,
        ai_model=ai_model,
        upstream_model=upstream_model,
        is_stream=chance.random() < 0.6,
        estimated_nusd=cost_nusd * 2 + 1,
        price_version_id=1,
        started_at=time.time() - chance.random() * 30,
        status=status,
        truth="provider",
        input_tokens=tokens[0] * is_charged,
        output_tokens=tokens[1] * is_charged,
        neurons=f"{cost_nusd / 13_200:.6f}",
        cost_nusd=cost_nusd,
        provider_cost_nusd=cost_nusd * 5 // 6,
        first_token_ms=chance.randint(80, 900),
        duration_ms=chance.randint(200, 9_000),
        attempts=1,
        upstream="cloudflare-1",
        upstream_request_id=f"{chance.getrandbits(64):016x}-FRA",
        gateway_log_id=f"01{chance.getrandbits(100):024X}",
        cache_status="MISS",
        script="latin",
        likely_tokens=tokens[0],
        most_tokens=tokens[0] * 5 // 4,
        finish_reason="stop" if is_charged else "",
        error_code=error_code,
    )
