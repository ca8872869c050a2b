"""All upstreams as the operator sees them: what they are, how they do, and what is near a limit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentflare.redis_store import RedisDownError
from billing.business.health import Finding
from inference.upstreams.accounts import OPENAI_COMPATIBLE
from inference.upstreams.models import Upstream
from inference.upstreams.selectors import ENVIRONMENT, environment_account
from inference.upstreams.watching import AccountHealth, health_of
from inference.workers_ai.rate_limits import PER_MINUTE

# Of a limit; and of attempts, where there were enough to tell.
NEAR = 0.8
_MUCH_FAILED_PERCENT, _LEAST_ATTEMPTS = 20.0, 20


@dataclass(frozen=True, slots=True)
class Use:
    """Of one kind of work: attempts in the busiest minute, and the limit of a minute."""

    kind: str
    attempts: int
    limit: int | None

    @property
    def is_near(self) -> bool:
        return self.limit is not None and self.attempts >= NEAR * self.limit


@dataclass(frozen=True, slots=True)
class Watched:
    """row: None for the account that the environment names. health: None while Redis is down."""

    name: str
    where: str
    provider: str
    is_active: bool
    weight: int
    limits: Mapping[str, int]
    row: Upstream | None
    health: AccountHealth | None

    @property
    def uses(self) -> list[Use]:
        by_kind = self.health.by_kind if self.health else {}
        return [
            Use(kind, attempts, self.limits.get(kind))
            for kind, attempts in sorted(by_kind.items(), key=lambda each: -each[1])
        ]

    @property
    def state(self) -> str:
        if self.is_active:
            return "active"
        running = self.health.running if self.health else 0
        return f"draining: {running} running" if running else "off"

    @property
    def troubles(self) -> list[str]:
        """In words; nothing where all is well."""
        if not self.health:
            return []
        told = [
            f"{use.attempts} of {use.limit} {use.kind} calls a minute"
            for use in self.uses
            if use.is_near
        ]
        everybody = [target for target in self.health.closed if not target.tenant]
        if everybody:
            what = ", ".join(sorted({target.what or "all" for target in everybody}))
            told.append(f"left alone: {what}")
        failed = self.health.failed_percent
        if failed is not None and self.health.attempts >= _LEAST_ATTEMPTS:
            told += [f"{failed:.0f} % fail"] if failed >= _MUCH_FAILED_PERCENT else []
        return told


def upstreams() -> list[Watched]:
    """The environment's first, then by name."""
    rows = list(Upstream.objects.order_by("name"))
    found = environment_account()
    names = [*([ENVIRONMENT] if found else []), *(row.name for row in rows)]
    health: Mapping[str, AccountHealth]
    try:
        health = health_of(names)
    except RedisDownError:
        health = {}
    watched = []
    if found:
        watched.append(
            Watched(
                name=ENVIRONMENT,
                where=found.account_id,
                provider="Cloudflare Workers AI",
                is_active=True,
                weight=found.weight,
                limits=PER_MINUTE,
                row=None,
                health=health.get(ENVIRONMENT),
            )
        )
    return watched + [_of_row(row, health.get(row.name)) for row in rows]


def _of_row(row: Upstream, health: AccountHealth | None) -> Watched:
    is_server = row.provider == OPENAI_COMPATIBLE
    return Watched(
        name=row.name,
        where=row.base_url if is_server else row.account_id,
        provider=str(row.get_provider_display()),
        is_active=row.state == Upstream.State.ACTIVE,
        weight=row.weight,
        limits={**({} if is_server else PER_MINUTE), **row.requests_per_minute},
        row=row,
        health=health,
    )


def findings() -> Iterator[Finding]:
    """One line for each upstream with a trouble; one where all are well."""
    every = upstreams()
    troubled = [each for each in every if each.is_active and each.troubles]
    for each in troubled:
        yield Finding(
            f"Upstream {each.name}", "; ".join(each.troubles), is_well=False, page="admin_upstreams"
        )
    if not troubled:
        active = sum(each.is_active for each in every)
        yield Finding("Upstreams", f"{active} active", active > 0, page="admin_upstreams")
