"""API keys: tenant's schema."""

from django.db import models


class ApiKey(models.Model):
    """A key's digest. The key itself was shown once and is kept nowhere."""

    key_id = models.CharField(max_length=8, unique=True, editable=False)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=17, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    cache_ttl_s = models.PositiveIntegerField(
        default=0, help_text="how old an answer from the cache may be; 0: no cache"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=254, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None
