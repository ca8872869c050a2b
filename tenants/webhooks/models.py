"""Endpoints and what was sent to them: tenant's schema."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class WebhookEndpoint(models.Model):
    """A URL of the tenant's, and the events that go there."""

    url = models.CharField(max_length=2000)
    name = models.CharField(max_length=60, blank=True)
    events = ArrayField(models.CharField(max_length=40), default=list)
    # Encrypted (agentflare.secrets). The one before still signs until `old_secret_until`.
    secret = models.TextField()
    old_secret = models.TextField(blank=True)
    old_secret_until = models.DateTimeField(null=True)
    is_enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, help_text="the first failure in a row")
    disabled_at = models.DateTimeField(null=True, help_text="by us, after lasting failure")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name or self.url


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint."""

    class State(models.TextChoices):
        PENDING = "pending", "on its way"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    event_id = models.CharField(max_length=40, help_text="the header webhook-id")
    event = models.CharField(max_length=40)
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    tries = models.PositiveSmallIntegerField(default=0, help_text="since it was sent last by hand")
    # Of each try: at, status, ms, error, answer (its beginning). The latest last.
    attempts = models.JSONField(default=list)
    next_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="webhook_event_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["next_at"], condition=models.Q(state="pending"), name="webhook_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint}"

    @property
    def is_pending(self) -> bool:
        return self.state == self.State.PENDING

    @property
    def last_attempt(self) -> dict[str, object] | None:
        return self.attempts[-1] if self.attempts else None
