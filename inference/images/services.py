"""Keeping pictures for an hour, for clients that ask for URLs."""

import hashlib
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import Error, close_old_connections
from django.utils import timezone

from agentflare.errors import InvalidRequestError
from inference.images.answers import Picture
from inference.images.models import StoredImage
from inference.images.selectors import stored_bytes

logger = logging.getLogger(__name__)
_TOKEN_BYTES = 32
_DELETED_AT_ONCE = 100


def check_storage(*, tenant_code: str) -> None:
    """Whether pictures could be kept now, asked before any is made and paid for.

    Raises InvalidRequestError when the tenant has too many, or one of Django's errors (503 to the
    client) when PostgreSQL does not answer.
    """
    is_full = stored_bytes(tenant_code=tenant_code) >= settings.IMAGE_URL_TENANT_BYTES
    # The call takes its time, and others need the connection meanwhile.
    close_old_connections()
    if is_full:
        raise InvalidRequestError(
            "Your images that wait to be fetched by their URLs take up all room there is for "
            "them. Each is deleted after an hour; use response_format 'b64_json' meanwhile.",
            param="response_format",
            code="image_storage_full",
        )


def store_images(pictures: Sequence[Picture], *, tenant_code: str) -> list[str] | None:
    """Their URLs, in order. None: they could not be kept, and must go another way.

    All or none. No transaction is open around it.
    """
    expires_at = timezone.now() + timedelta(seconds=settings.IMAGE_URL_TTL_S)
    tokens = [secrets.token_urlsafe(_TOKEN_BYTES) for _ in pictures]
    rows = [
        StoredImage(
            token_digest=digest_of(token),
            tenant_code=tenant_code,
            media_type=picture.media_type,
            content=picture.content,
            size_bytes=len(picture.content),
            expires_at=expires_at,
        )
        for token, picture in zip(tokens, pictures, strict=True)
    ]
    try:
        # One statement each: all of them together would be a very long one.
        StoredImage.objects.bulk_create(rows, batch_size=1)
    except Error:
        logger.exception("Images could not be stored; they are answered as base64")
        return None
    return [f"{settings.AGENTFLARE_URL}/v1/images/files/{token}" for token in tokens]


def digest_of(token: str) -> str:
    """A token has 256 random bits: a plain hash says nothing of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def delete_expired() -> int:
    """In batches, so that no statement takes long. A repeat deletes what is left. How many."""
    deleted = 0
    while ids := list(
        StoredImage.objects.filter(expires_at__lte=timezone.now()).values_list("pk", flat=True)[
            :_DELETED_AT_ONCE
        ]
    ):
        deleted += StoredImage.objects.filter(pk__in=ids).delete()[0]
    return deleted
