"""Exports of whole workspaces: shared schema."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone

# How long a finished file can be fetched.
LIFE = timedelta(days=1)


class Export(models.Model):
    """One file, being made or ready to be fetched."""

    class State(models.TextChoices):
        WORKING = "working", "being made"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    tenant = models.ForeignKey("registry.Tenant", on_delete=models.CASCADE, related_name="exports")
    requested_by = models.CharField(max_length=254)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WORKING)
    percent = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    file = models.CharField(max_length=120, blank=True, help_text="below EXPORT_DIR")
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now, help_text="when work was seen on it")
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(state="working"),
                name="export_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.pk} of {self.tenant}"

    @property
    def is_there(self) -> bool:
        """Whether it can be fetched."""
        return (
            self.state == self.State.READY
            and self.expires_at is not None
            and self.expires_at > timezone.now()
        )
