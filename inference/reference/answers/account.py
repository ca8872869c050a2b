"""API keys, and what a workspace has, holds and has used."""

from typing import Literal

from inference.reference.answers.base import SOMETIMES, Answer, Usd


class Limits(Answer):
    """Null: no limit."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_calls: int | None


class ModelLimits(Answer):
    """Only those that there are."""

    requests_per_minute: int = SOMETIMES
    tokens_per_minute: int = SOMETIMES
    concurrent_calls: int = SOMETIMES


class Budgets(Answer):
    """Dollars. Null: no budget."""

    day: Usd | None
    month: Usd | None
    life: Usd | None


class Spent(Answer):
    """Dollars, by UTC day and month. Keys that took each other's place are counted together."""

    day: Usd
    month: Usd
    life: Usd


class ApiKey(Answer):
    """Moments are seconds since 1970."""

    id: str
    object: Literal["api_key"]
    name: str
    prefix: str
    """How it begins: all that can be seen of it later."""
    status: Literal["active", "expired", "revoked"]
    created_at: int
    created_by: str
    expires_at: int | None
    revoked_at: int | None
    rotated_to: str | None
    """The id of the key that took its place."""
    last_used_at: int | None
    last_used_ip: str | None
    scopes: list[Literal["inference", "agents", "usage", "admin"]]
    models: list[str]
    """What it may call, models and routes; empty: everything."""
    ip_ranges: list[str]
    """Where it may be used from; empty: anywhere."""
    cache_ttl_s: int | None
    limits: Limits
    model_limits: dict[str, ModelLimits]
    """Model or route → limits of this key there."""
    budgets: Budgets
    alert_percents: list[int]
    """Parts of a budget whose spending is told by mail."""
    spent: Spent


class NewApiKey(ApiKey):
    key: str
    """The key itself. It is shown this once."""


class ApiKeyList(Answer):
    object: Literal["list"]
    data: list[ApiKey]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedApiKey(Answer):
    id: str
    object: Literal["api_key.deleted"]
    deleted: Literal[True]


class Balance(Answer):
    object: Literal["balance"]
    currency: Literal["USD"]
    posted: Usd
    """What the ledger says."""
    held: Usd
    """Reserved by running calls."""
    unsettled: Usd
    """Used by calls that have ended, and on its way to the ledger."""
    available: Usd
    """What the next call may cost."""


class Hold(Answer):
    object: Literal["hold"]
    request_id: str
    amount: Usd
    cost_so_far: Usd
    created_at: int
    age_s: int
    endpoint: str
    model: str
    api_key_prefix: str


class HoldList(Answer):
    object: Literal["list"]
    data: list[Hold]
    has_more: bool


class UsageBucket(Answer):
    """Sums of one hour or day."""

    object: Literal["bucket"]
    start_time: int
    model: str | None
    """Null unless grouped by it."""
    api_key_id: str | None
    """Null unless grouped by it."""
    requests: int
    failed_requests: int
    input_tokens: int
    input_cached_tokens: int
    output_tokens: int
    cost: Usd


class UsageRecord(Answer):
    """One call that has ended and is booked."""

    id: str
    """The `x-request-id` of its answer."""
    object: Literal["usage_record"]
    api_key_id: str
    endpoint: str
    """Without the `/v1/`."""
    model: str
    """What answered."""
    route: str | None
    """The route that was asked for, if it was one."""
    status: Literal[
        "completed",
        "empty",
        "client_gone",
        "upstream_failed",
        "upstream_broke",
        "stopped",
        "process_died",
    ]
    stream: bool
    started_at: int
    first_token_ms: int | None
    duration_ms: int
    input_tokens: int
    """Cached ones not counted."""
    input_cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    """Part of the output."""
    quantities: dict[str, str]
    """Other units that were counted: minutes, characters, tiles."""
    known_by: str
    """How the quantities are known: `provider` (the provider said so), `counted` (from what was
    relayed), `estimated`, `reconciled` (counted or estimated at first, then told by the provider's
    log)."""
    held: Usd
    """The most the call could cost, which was held before it."""
    cost: Usd
    correction: Usd
    """Part of the cost: what was booked later, when the provider's log told more, or (negative)
    less."""
    price_version: int
    cache: str | None
    """`HIT` where AI Gateway's cache answered."""
    finish_reason: str | None
    error_code: str | None


class UsageRecordList(Answer):
    """A page may have fewer records than `limit`, even none, while `has_more` is true: go on after
    `last_id`."""

    object: Literal["list"]
    data: list[UsageRecord]
    first_id: str | None
    last_id: str | None
    """Where the next page begins, as `after`."""
    has_more: bool


class UsageBuckets(Answer):
    object: Literal["list"]
    data: list[UsageBucket]
    has_more: bool
