"""What of payments belongs to no single tenant: shared schema."""

from typing import ClassVar

from django.db import models


class StripeEvent(models.Model):
    """An event as Stripe sent it, kept before anything is done about it."""

    class State(models.TextChoices):
        RECEIVED = "received", "not looked at yet"
        PROCESSED = "processed"
        IGNORED = "ignored", "not ours, or of no use"
        FAILED = "failed"

    event_id = models.CharField(max_length=80, unique=True)
    type = models.CharField(max_length=80)
    payload = models.TextField(help_text="the raw body")
    # Stripe's clock: what the missed ones are looked for by.
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    next_try_at = models.DateTimeField(
        null=True, blank=True, help_text="empty: it is done, or given up"
    )
    processed_at = models.DateTimeField(null=True, blank=True)
    tenant_code = models.CharField(max_length=6, blank=True, help_text="whose payment it tells of")

    class Meta:
        ordering = ("-id",)
        verbose_name = "Stripe event"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["next_try_at"],
                name="stripe_event_due",
                condition=models.Q(next_try_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class StripeObject(models.Model):
    """Whose a customer, a session or a payment is. `ours`: the top-up's id, where there is one."""

    object_id = models.CharField(max_length=100, primary_key=True)
    tenant_code = models.CharField(max_length=6)
    ours = models.CharField(max_length=36, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.object_id


class OpenPayment(models.Model):
    """A top-up or refund that has not ended. Made and deleted with its row's own changes."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up"
        REFUND = "refund"

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    tenant_code = models.CharField(max_length=6)
    created_at = models.DateTimeField(auto_now_add=True)
    look_at = models.DateTimeField(db_index=True, help_text="when to look after it next")

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class OwedMail(models.Model):
    """A mail about a payment. Made with its cause, deleted once it is sent."""

    address = models.EmailField()
    subject = models.CharField(max_length=300)
    message = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    next_try_at = models.DateTimeField(db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.address}: {self.subject}"


class BalanceWatch(models.Model):
    """A tenant that wants something done when its balance falls below this."""

    tenant_code = models.CharField(max_length=6, primary_key=True)
    floor_nusd = models.BigIntegerField()
    is_low = models.BooleanField(default=False, help_text="it was below when last looked at")

    def __str__(self) -> str:
        return self.tenant_code


class EventCursor(models.Model):
    """Up to when all events are known to be here. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seen_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.seen_until:%Y-%m-%d %H:%M:%S}"


class KnownDispute(models.Model):
    """A dispute of any tenant, for the operator's list: a copy of the row in the tenant's schema,
    written in the same transaction, with Stripe's deadline."""

    stripe_id = models.CharField(max_length=64, primary_key=True)
    tenant_code = models.CharField(max_length=6, db_index=True)
    top_up_id = models.UUIDField()
    payment_intent_id = models.CharField(max_length=64)
    amount_cents = models.PositiveIntegerField()
    credit_cents = models.PositiveIntegerField()
    reason = models.CharField(max_length=60, blank=True)
    stripe_status = models.CharField(max_length=30)
    outcome = models.CharField(max_length=10)
    answer_by = models.DateTimeField(null=True, help_text="evidence is taken until then")
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "dispute"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def is_open(self) -> bool:
        return self.closed_at is None and self.outcome != "watched"
