"""API keys: tenant's schema."""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from tenants.limits import Budgets, LimitedModel, Limits


class Scope(models.TextChoices):
    """What a key may be used for."""

    INFERENCE = "inference", "calls to AI models"
    AGENTS = "agents", "agents and conversations"
    USAGE = "usage", "reading usage and balance"
    ADMIN = "admin", "managing API keys"


DEFAULT_SCOPES = [Scope.INFERENCE, Scope.AGENTS]
DEFAULT_ALERT_PERCENTS = [50, 80, 100]


def _default_scopes() -> list[str]:
    return [str(scope) for scope in DEFAULT_SCOPES]


def _default_alert_percents() -> list[int]:
    return list(DEFAULT_ALERT_PERCENTS)


def _budget_field(period: str) -> Any:
    return models.BigIntegerField(null=True, blank=True, help_text=f"nUSD {period}; empty: none")


class ApiKey(LimitedModel):
    """A key's digest, and what it may do. The key itself was shown once and is kept nowhere."""

    class Source(models.TextChoices):
        MADE = "made", "made for a program"
        PLAYGROUND = "playground", "a member's own in the playground: nobody has it"

    key_id = models.CharField(max_length=8, unique=True, editable=False)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=17, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254, editable=False)
    member_id = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="id of the person who made it; empty: a program or a command did",
    )
    source = models.CharField(
        max_length=12, choices=Source.choices, default=Source.MADE, editable=False
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    rotated_to = models.CharField(
        max_length=8, blank=True, editable=False, help_text="id of the key that takes its place"
    )
    line_id = models.CharField(
        max_length=8,
        blank=True,
        editable=False,
        help_text="id of the first key of its line: keys that took each other's place share "
        "limits and budgets",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True, editable=False)

    scopes = ArrayField(
        models.CharField(max_length=12, choices=Scope.choices), default=_default_scopes
    )
    ai_models = ArrayField(
        models.CharField(max_length=120),
        default=list,
        blank=True,
        help_text="names of models and routes that it may call; empty: all",
    )
    ip_ranges = ArrayField(
        models.CharField(max_length=43),
        default=list,
        blank=True,
        help_text="CIDRs that calls must come from; empty: anywhere",
    )
    cache_ttl_s = models.PositiveIntegerField(
        null=True,
        help_text="how old an answer from the cache may be; 0: no cache; empty: as its workspace",
    )
    ai_model_limits = models.JSONField(
        default=dict, blank=True, help_text="name of a model or route → limits of this key there"
    )
    day_budget_nusd = _budget_field("in a UTC day")
    month_budget_nusd = _budget_field("in a UTC month")
    life_budget_nusd = _budget_field("in its life")
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(),
        default=_default_alert_percents,
        blank=True,
        help_text="parts of a budget whose spending is told",
    )

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API key"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["member_id"],
                condition=models.Q(source="playground", revoked_at=None),
                name="one_playground_key_per_member",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_of_playground(self) -> bool:
        return self.source == self.Source.PLAYGROUND

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None and not self.is_expired

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def budgets(self) -> Budgets:
        return Budgets(self.day_budget_nusd, self.month_budget_nusd, self.life_budget_nusd)

    @property
    def limits_by_ai_model(self) -> dict[str, Limits]:
        return {name: Limits(**limits) for name, limits in self.ai_model_limits.items()}
