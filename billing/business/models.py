"""How the business goes: sums over all tenants, in the shared schema; and what operators do.

The sums are copies of what stands in the tenants' schemas, made by a task (rolling_up.py), so that
no page reads two hundred schemas. Every row can be made again from there at any time, and is
written as a whole: doing so twice changes nothing.
"""

from typing import ClassVar

from django.db import models

from agentflare.ids import uuid7


class TenantDay(models.Model):
    """What a tenant's calls to one AI model were, in a UTC day."""

    day = models.DateField()
    tenant_code = models.CharField(max_length=6)
    ai_model = models.CharField(max_length=80)
    calls = models.PositiveBigIntegerField()
    failed_calls = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    cached_input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cost_nusd = models.BigIntegerField(help_text="what the tenant paid")
    provider_cost_nusd = models.BigIntegerField(help_text="what upstream takes for it")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["day", "tenant_code", "ai_model"], name="business_day_once"
            ),
        ]
        # Who has used a model, and how much: else each model's line reads all days of all.
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["ai_model", "day"],
                include=["calls", "cost_nusd"],
                name="business_day_by_model",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.tenant_code} {self.ai_model}"


class TenantEnds(models.Model):
    """How those of a tenant's calls ended that were not simply completed, in a UTC day."""

    day = models.DateField()
    tenant_code = models.CharField(max_length=6)
    end = models.CharField(max_length=60, help_text="a Status; of a refused call, its code")
    is_refused = models.BooleanField()
    calls = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["day", "tenant_code", "end", "is_refused"], name="business_ends_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.tenant_code} {self.end}"


class Latency(models.Model):
    """How many completed calls took how long, by the hour they started in."""

    class What(models.TextChoices):
        ANSWER = "answer", "the whole answer"
        FIRST_TOKEN = "first_token", "to the first token"

    hour = models.DateTimeField()
    tenant_code = models.CharField(max_length=6)
    ai_model = models.CharField(max_length=80)
    what = models.CharField(max_length=11, choices=What.choices)
    bucket = models.PositiveSmallIntegerField(help_text="its number in latency.BOUNDS_MS")
    calls = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["hour", "tenant_code", "ai_model", "what", "bucket"],
                name="business_latency_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.tenant_code} {self.what} {self.bucket}"


class LedgerMonth(models.Model):
    """What one kind of journal entry brought to a tenant's credit in a UTC month, or took."""

    month = models.DateField(help_text="its first day")
    tenant_code = models.CharField(max_length=6)
    kind = models.CharField(max_length=10, help_text="as JournalEntry has it")
    amount_nusd = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["month", "tenant_code", "kind"], name="business_month_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.tenant_code} {self.kind}"


class TenantState(models.Model):
    """How a tenant stands now, and what it was rolled up as."""

    tenant_code = models.CharField(max_length=6, primary_key=True)
    credit_nusd = models.BigIntegerField(help_text="the ledger's balance")
    ledger_version = models.PositiveBigIntegerField()
    refused_today = models.PositiveBigIntegerField()
    last_call_at = models.DateTimeField(null=True)
    auto_state = models.CharField(
        max_length=12, blank=True, help_text="of auto-recharge; empty: it is off"
    )
    rolled_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.tenant_code


class CreditChange(models.Model):
    """Credit that an operator gives or takes, and why. Above a limit a second one must agree.

    reason: the tenant reads it in the statement.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "waits for a second operator"
        BOOKED = "booked"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey("registry.Tenant", on_delete=models.PROTECT, related_name="+")
    amount_nusd = models.BigIntegerField(help_text="below zero: taken")
    reason = models.CharField(max_length=200)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    asked_by = models.CharField(max_length=254)
    asked_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)
    is_gate_told = models.BooleanField(default=False, help_text="once it is booked")

    class Meta:
        ordering = ("-id",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["id"],
                name="business_change_untold",
                condition=models.Q(state="booked", is_gate_told=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.amount_nusd} nUSD"


class QueueSample(models.Model):
    """How the way into the ledger was, at one minute. Kept for two days."""

    at = models.DateTimeField(primary_key=True)
    waiting = models.PositiveBigIntegerField(help_text="captured calls not in the ledger yet")
    waiting_ms = models.PositiveBigIntegerField(help_text="of the oldest of them")
    dead_letters = models.PositiveBigIntegerField()
    holds = models.PositiveBigIntegerField()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class MonthClose(models.Model):
    """A month that was handed to the books outside: as it was then. Never edited.

    rows: tenant's code → amounts in nUSD, in the order of closes.COLUMNS after the first two.
    """

    month = models.DateField(primary_key=True, help_text="its first day")
    closed_by = models.CharField(max_length=254)
    closed_at = models.DateTimeField(auto_now_add=True)
    rows = models.JSONField()

    class Meta:
        default_permissions = ("add", "view")

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
