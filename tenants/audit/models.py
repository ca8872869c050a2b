"""Who changed what, when, and from where: tenant's schema."""

from django.db import models


class AuditEvent(models.Model):
    """One change, never edited.

    `actor` is an e-mail address, "key oi_…" for a program, "command" or "system".
    """

    created_at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=50, help_text="noun.verb, such as api_key.revoked")
    subject = models.CharField(max_length=100, blank=True)
    ip = models.GenericIPAddressField(null=True, help_text="where the request came from")
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
