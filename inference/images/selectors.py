"""Reading kept pictures."""

from django.db.models import Sum
from django.utils import timezone

from inference.images.models import StoredImage


def find_image(*, token_digest: str) -> StoredImage | None:
    """None for one that has expired, deleted or not."""
    return StoredImage.objects.filter(
        token_digest=token_digest, expires_at__gt=timezone.now()
    ).first()


def stored_bytes(*, tenant_code: str) -> int:
    """What a tenant's pictures take that have not expired."""
    rows = StoredImage.objects.filter(tenant_code=tenant_code, expires_at__gt=timezone.now())
    return rows.aggregate(total=Sum("size_bytes"))["total"] or 0
