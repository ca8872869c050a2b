"""Images that a client names by URL: fetched by us, since models take them as data alone."""

import threading
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings

from agentflare.errors import InvalidRequestError
from agentflare.outside.request import Deadline, OutsideError
from billing.admission.services import require_credit
from inference.images.download import download
from inference.images.formats import media_type_of


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """`media_type` is what the content is, whatever its server called it."""

    content: bytes
    media_type: str


def fetch_for(tenant_code: str, wanted: Sequence[tuple[str, str]]) -> list[FetchedImage]:
    """`fetch_images` for a tenant that has any credit: nobody else can make us fetch things.

    Raises InsufficientCreditError, or InvalidRequestError as there.
    """
    if wanted:
        require_credit(tenant_code)
    return fetch_images(wanted)


def fetch_image(url: str, *, param: str) -> FetchedImage:
    """One image. Raises InvalidRequestError naming `param`."""
    (image,) = fetch_images([(url, param)])
    return image


def fetch_images(wanted: Sequence[tuple[str, str]]) -> list[FetchedImage]:
    """All images of one request, (URL, name of its parameter) each, fetched at once.

    They share one time limit and one limit of bytes. Raises InvalidRequestError for the first
    that cannot be had; nothing more is fetched then.
    """
    limit = settings.REMOTE_IMAGES_MAX_COUNT
    if len(wanted) > limit:
        raise _refusal(
            f"a request may name at most {limit} images by URL. Send others as data URLs.",
            param=wanted[limit][1],
        )
    if not wanted:
        return []
    allowance = _Allowance(settings.REMOTE_IMAGES_MAX_BYTES)
    deadline = Deadline(settings.REMOTE_IMAGE_TIMEOUT_S)
    pool = ThreadPoolExecutor(len(wanted), thread_name_prefix="remote-image")
    try:
        futures = [pool.submit(_fetch, url, deadline, allowance) for url, _ in wanted]
        return [
            _result(future, deadline, param=param)
            for future, (_, param) in zip(futures, wanted, strict=True)
        ]
    finally:
        allowance.withdraw()
        # Not waited for: a name may take its time to resolve, and nothing stops that.
        pool.shutdown(wait=False, cancel_futures=True)


def as_data_url(image: FetchedImage) -> str:
    return f"data:{image.media_type};base64,{b64encode(image.content).decode()}"


class _Allowance:
    """Bytes that the images of one request may have together."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Raises OutsideError when there is not so much left."""
        with self._lock:
            self._left_bytes -= count
            if self._left_bytes < 0:
                raise OutsideError(
                    f"the images of a request may have {self._limit_bytes} bytes together."
                )

    def withdraw(self) -> None:
        with self._lock:
            self._left_bytes = -1


def _fetch(url: str, deadline: Deadline, allowance: _Allowance) -> FetchedImage:
    content = download(
        url,
        deadline=deadline,
        max_bytes=settings.REMOTE_IMAGE_MAX_BYTES,
        take=allowance.take,
    )
    media_type = media_type_of(content)
    if media_type is None:
        raise OutsideError("what the server sent is no PNG, JPEG, GIF or WebP image.")
    return FetchedImage(content, media_type)


def _result(future: "Future[FetchedImage]", deadline: Deadline, *, param: str) -> FetchedImage:
    try:
        return future.result(timeout=deadline.left_s())
    except TimeoutError:
        raise _refusal("it took too long.", param=param) from None
    except OutsideError as exc:
        raise _refusal(str(exc), param=param) from None


def _refusal(reason: str, *, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The image at '{param}' cannot be fetched: {reason}",
        param=param,
        code="invalid_image_url",
    )
