"""What the operator tells all workspaces, and whether they can be changed now: shared schema."""

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone


class Announcement(models.Model):
    """A banner above the pages of workspaces, between two moments."""

    class Level(models.TextChoices):
        INFO = "info", "For information"
        WARNING = "warning", "A warning"

    text = models.CharField(max_length=300)
    link = models.URLField(blank=True, help_text="Where more stands. Empty: nowhere.")
    level = models.CharField(max_length=7, choices=Level.choices, default=Level.INFO)
    starts_at = models.DateTimeField(
        "shown from", default=timezone.now, help_text="UTC. As it stands here: now."
    )
    ends_at = models.DateTimeField(
        "shown until", null=True, blank=True, help_text="UTC. Empty: until somebody sets it."
    )
    plan = models.ForeignKey(
        "registry.Plan",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        help_text="For workspaces on this plan alone. Empty: for all.",
    )
    tenant = models.ForeignKey(
        "registry.Tenant",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        help_text="For this workspace alone. Empty: for all.",
    )
    can_be_hidden = models.BooleanField(
        default=True, help_text="Whoever has read it can hide it for themselves."
    )
    hidden_by = models.ManyToManyField(settings.AUTH_USER_MODEL, editable=False, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-starts_at", "-id")

    def __str__(self) -> str:
        return self.text[:60]

    def clean(self) -> None:
        if self.ends_at and self.starts_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "It would end before it starts."})
        if self.plan and self.tenant:
            raise ValidationError({"tenant": "For a plan or for one workspace: one of the two."})


class Maintenance(models.Model):
    """What is taken at the moment: one row, the latest. Redis has a copy for all processes."""

    class Mode(models.TextChoices):
        OFF = "off", "As ever: everything is taken"
        READ_ONLY = "read_only", "Read-only: calls are served, nothing can be changed"
        PAUSED = "paused", "Paused: nothing can be changed, and new calls are refused"

    mode = models.CharField(max_length=9, choices=Mode.choices, default=Mode.OFF)
    message = models.CharField(max_length=200, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions: ClassVar[tuple[str, ...]] = ("change", "view")

    def __str__(self) -> str:
        return self.mode
