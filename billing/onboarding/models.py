"""Who was given trial credit: shared schema."""

from django.conf import settings
from django.db import models


class TrialGrant(models.Model):
    """Trial credit that was promised to a person: once, whatever workspaces they make.

    Written before the credit is booked, so that a crash in between leaves a promise to keep, and
    never two of them. It stays when the person's account is deleted, as `mailbox` does.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="trial_grant"
    )
    mailbox = models.CharField(
        max_length=254, unique=True, help_text="the address, without what varies in one mailbox"
    )
    tenant = models.ForeignKey(
        "registry.Tenant", null=True, on_delete=models.SET_NULL, related_name="trial_grants"
    )
    amount_nusd = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    booked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.tenant_id}"

    @property
    def reference(self) -> str:
        """Names the entry in the tenant's ledger."""
        return f"trial:{self.pk}"
