"""An upstream as calls see it: no database behind it."""

from dataclasses import dataclass, field

WORKERS_AI = "workers_ai"
OPENAI_COMPATIBLE = "openai_compatible"


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to call, and with what. `name` is ours, and safe to show to the operator."""

    name: str
    provider: str
    base_url: str
    account_id: str = ""
    api_token: str = field(default="", repr=False)
    gateway_id: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class CallContext:
    """What upstream may know of the caller: opaque, for affinity and its own logs.

    cache_ttl_s: how long AI Gateway may answer the same again from its cache; 0: never.
    """

    tenant_code: str
    key_id: str
    request_id: str
    affinity: str = ""
    cache_ttl_s: int = 0
