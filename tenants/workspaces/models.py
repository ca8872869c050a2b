"""What a workspace's people have chosen for it: shared schema."""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.limits import LimitedModel
from tenants.users.models import Role

# How long a closed workspace can be opened again.
GRACE = timedelta(days=30)
_TOLD = [Role.OWNER, Role.ADMIN, Role.BILLING]


def _told_roles() -> list[str]:
    return [str(role) for role in _TOLD]


class Preferences(LimitedModel):
    """One row per tenant that has changed any. Its limits only ever lower those of the plan."""

    tenant = models.OneToOneField(
        "registry.Tenant", primary_key=True, on_delete=models.CASCADE, related_name="preferences"
    )
    alert_roles = ArrayField(
        models.CharField(max_length=10, choices=Role.choices), default=_told_roles, blank=True
    )
    alert_addresses = ArrayField(models.EmailField(), default=list, blank=True)
    retention_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="whole months that records of single calls are kept; empty: as the operator does",
    )

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.tenant}"


class PastSlug(models.Model):
    """An address that a workspace had: it leads to the one it has, and is nobody else's."""

    slug = models.SlugField(max_length=40, primary_key=True)
    tenant = models.ForeignKey(
        "registry.Tenant", on_delete=models.CASCADE, related_name="past_slugs"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Closure(models.Model):
    """A workspace that its owner, or an operator, has closed. Opened again in time, there is none
    any more."""

    tenant = models.OneToOneField(
        "registry.Tenant", primary_key=True, on_delete=models.CASCADE, related_name="closure"
    )
    closed_at = models.DateTimeField(auto_now_add=True)
    closed_by = models.CharField(max_length=254)
    reason = models.CharField(
        max_length=200, blank=True, db_default="", help_text="an operator's; its people read it"
    )
    deleted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.tenant}, closed {self.closed_at:%Y-%m-%d}"

    @property
    def delete_after(self) -> datetime:
        return self.closed_at + GRACE


class WakeUp(models.Model):
    """A tenant has webhooks to deliver at `due_at`. Rows are added, never changed but by whoever
    delivers: what brings the news waits for nobody."""

    tenant_code = models.CharField(max_length=6)
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.tenant_code} at {self.due_at}"
