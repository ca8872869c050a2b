"""What operators did, and what they wrote down about tenants: shared schema."""

from typing import ClassVar

from django.db import models


class OperatorAction(models.Model):
    """One thing an operator did, and why. Never edited, never deleted.

    What concerns one tenant stands in that tenant's own audit trail too, without what is ours.
    """

    created_at = models.DateTimeField("when", auto_now_add=True, db_index=True)
    actor = models.CharField(
        "who", max_length=254, db_index=True, help_text='an e-mail address, or "command"'
    )
    ip = models.GenericIPAddressField("from", null=True)
    action = models.CharField(max_length=60, help_text="noun.verb, such as price.set")
    subject = models.CharField(max_length=200, blank=True)
    tenant_code = models.CharField("tenant", max_length=6, blank=True, db_index=True)
    reason = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)
        verbose_name = "operator’s action"
        verbose_name_plural = "operators’ actions"
        default_permissions: ClassVar[tuple[str, ...]] = ("view",)

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class TenantNote(models.Model):
    """What an operator wrote down about a tenant, for the other operators alone."""

    tenant = models.ForeignKey(
        "registry.Tenant", on_delete=models.CASCADE, related_name="operator_notes"
    )
    author = models.CharField(max_length=254)
    text = models.TextField(max_length=4000)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        default_permissions: ClassVar[tuple[str, ...]] = ("add", "view", "delete")

    def __str__(self) -> str:
        return self.text[:60]
