"""The usage event: what a call leaves in the outbox, and settlement books.

Written by the web process at capture (and, as "what if I died now", with every renewal
of the hold), read by the worker. The wire form is JSON; money and neurons are exact in it.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from billing.usage.models import Status, Truth

_NO_TRACE = ',"trace":""}'


@dataclass(frozen=True)
class UsageEvent:
    """One call. Tokens are whole numbers, `cost_nusd` is what the tenant pays.

    Without slots: each call copies it four times, see `with_`.
    """

    request_id: str
    tenant_code: str
    key_id: str
    endpoint: str
    ai_model: str
    upstream_model: str
    is_stream: bool
    estimated_nusd: int
    price_version_id: int
    # Seconds since 1970.
    started_at: float
    # The first key of this one's line: they share limits and budgets. Empty: it is itself that.
    line_id: str = ""
    status: str = Status.PROCESS_DIED
    truth: str = Truth.COUNTED
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    # Other units than tokens, and how many: minutes, tiles, characters. Decimals as text.
    quantities: dict[str, str] = field(default_factory=dict)
    neurons: str | None = None
    cost_nusd: int = 0
    provider_cost_nusd: int = 0
    first_token_ms: int | None = None
    duration_ms: int = 0
    attempts: int = 0
    # The name that the client asked for, where it is not the AI model's own.
    route: str = ""
    # The account or server that was called, by our name for it.
    upstream: str = ""
    upstream_request_id: str = ""
    # AI Gateway's row of this call, and what its cache did: "HIT", "MISS" or nothing.
    gateway_log_id: str = ""
    cache_status: str = ""
    # The prompt as it was estimated before any correction, to learn from: what most of it is
    # (a script, "english", "code"), its tokens, likely and at most. No script: nothing to learn.
    script: str = ""
    likely_tokens: int = 0
    most_tokens: int = 0
    finish_reason: str = ""
    error_code: str = ""
    # How many answers came from upstream; whether we have left out the end of one.
    answers: int = 0
    is_cut: bool = False
    # W3C's traceparent of the request, where it is traced. The last field: see `dumps`.
    trace: str = ""

    @property
    def tokens(self) -> int:
        """What counts against limits of tokens a minute."""
        return self.input_tokens + self.cached_input_tokens + self.output_tokens

    @property
    def asked_model(self) -> str:
        """The name that limits of a key at a model go by: a route's, or the AI model's."""
        return self.route or self.ai_model

    @property
    def spender(self) -> str:
        return self.line_id or self.key_id

    def with_(self, **changes: Any) -> "UsageEvent":
        """A copy with these fields changed, in a tenth of the time that `replace` takes. Raises
        TypeError for what is no field."""
        fields = self.__dict__
        if not changes.keys() <= fields.keys():
            raise TypeError(f"no fields of a usage event: {changes.keys() - fields.keys()}")
        copy = object.__new__(UsageEvent)
        copy.__dict__.update(fields, **changes)
        return copy

    def dumps(self) -> str:
        """Without an empty `trace`: workers of the release before know no such field."""
        text = orjson.dumps(self).decode()
        return text if self.trace else text.removesuffix(_NO_TRACE) + "}"

    @classmethod
    def loads(cls, text: str) -> "UsageEvent":
        """Raises ValueError or TypeError for anything that `dumps` did not write."""
        event = cls(**orjson.loads(text))
        UUID(event.request_id)
        if event.neurons is not None:
            Decimal(event.neurons)
        if event.cost_nusd < 0:
            raise ValueError("a call cannot cost less than nothing")
        return event
