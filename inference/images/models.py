"""Pictures that wait to be fetched by their URL: shared schema.

Shared, not each tenant's: whoever fetches one shows a token and no key, so nothing says in which
schema to look; and none of it lasts an hour.
"""

from typing import ClassVar

from django.db import models


class StoredImage(models.Model):
    """One picture until `expires_at`.

    The token in its URL is all that it takes to see it, so only the token's SHA-256 is kept.
    """

    token_digest = models.CharField(max_length=64, unique=True, help_text="SHA-256, in hex")
    tenant_code = models.CharField(max_length=20)
    media_type = models.CharField(max_length=30)
    content = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["tenant_code", "expires_at"],
                include=["size_bytes"],
                name="stored_image_by_tenant",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.media_type} of {self.tenant_code}"
