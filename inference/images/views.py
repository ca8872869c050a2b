"""POST /v1/images/generations and /edits, as in OpenAI's API reference; labels for an image; and
pictures by their URL."""

import time
from collections.abc import Sequence

from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, read_params
from agentflare.errors import InvalidRequestError, NotFoundError
from agentflare.multipart import FormFile, read_multipart
from inference.idempotency.views import InferenceView
from inference.images import classification
from inference.images.answers import Picture, images_response
from inference.images.inputs import InputImage, from_files, from_urls
from inference.images.params import (
    ClassificationParams,
    EditParams,
    FormClassificationParams,
    FormEditParams,
    GenerationParams,
    JsonClassificationParams,
    JsonEditParams,
    PictureParams,
)
from inference.images.picture_task import (
    EDITS,
    GENERATIONS,
    PictureTask,
    without_one_answer_for_all,
)
from inference.images.requests import Sources
from inference.images.selectors import find_image
from inference.images.services import check_storage, digest_of, store_images
from inference.task_usage import usage_of
from inference.tasks import run_task
from inference.views import call_of, caller

_FORM = "multipart/form-data"


class ImageGenerationsView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, GenerationParams)
        params.check()
        return answer_pictures(request, params, PictureTask(params, endpoint=GENERATIONS))


class ImageEditsView(InferenceView):
    """A form with files, or JSON with images by URL."""

    def post(self, request: Request) -> HttpResponseBase:
        params, sources = _edit_in_form(request) if _is_form(request) else _edit_in_json(request)
        task = PictureTask(params, endpoint=EDITS, sources=sources)
        return answer_pictures(request, params, task)


class ImageClassificationsView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params, image = (
            _classification_in_form(request)
            if _is_form(request)
            else _classification_in_json(request)
        )
        call = call_of(request, endpoint=classification.ENDPOINT, model=params.model)
        done = run_task(call, classification.ImageClassificationTask(image))
        body = {
            "object": "classification",
            "model": params.model,
            "results": done.values[0][: params.top_k],
            "usage": usage_of(done),
        }
        return JsonResponse(body, headers=done.headers)


class StoredImageView(ApiView):
    """GET /v1/images/files/{token}: whoever has the URL may see it, for an hour."""

    authentication_classes = ()

    def get(self, request: Request, token: str) -> HttpResponseBase:
        image = find_image(token_digest=digest_of(token))
        if image is None:
            raise NotFoundError(
                "There is no such image, or its time is over: an image is kept for an hour.",
                code="image_not_found",
            )
        left_s = max(0, int((image.expires_at - timezone.now()).total_seconds()))
        content = bytes(image.content)
        return HttpResponse(
            content,
            content_type=image.media_type,
            headers={
                "Content-Length": str(len(content)),
                "Content-Disposition": "inline",
                "Cache-Control": f"private, max-age={left_s}",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )


def answer_pictures(request: Request, params: PictureParams, task: PictureTask) -> HttpResponseBase:
    """Pictures asked for as URLs, and not to be kept after all, come as base64 in their place:
    they have been paid for."""
    tenant_code = caller(request).tenant_code
    call = call_of(request, endpoint=task.endpoint, model=params.model)
    if params.wants_url:
        check_storage(tenant_code=tenant_code)
    done = run_task(without_one_answer_for_all(call, params), task)
    pictures: list[Picture] = done.values
    urls = store_images(pictures, tenant_code=tenant_code) if params.wants_url else None
    data = (
        [{"url": url} for url in urls]
        if urls
        else [{"b64_json": picture.as_base64()} for picture in pictures]
    )
    body = images_response(
        pictures, params, created=int(time.time()), data=data, usage=usage_of(done)
    )
    return JsonResponse(body, headers=done.headers)


# --- bodies -------------------------------------------------------------------------


def _is_form(request: Request) -> bool:
    content_type: str = request.META.get("CONTENT_TYPE", "")
    return content_type.partition(";")[0].strip().lower() == _FORM


def _edit_in_form(request: Request) -> tuple[EditParams, Sources]:
    params, files = read_multipart(request, FormEditParams, files=("image", "mask"))
    params.check()
    _require(files["image"], param="image")
    images = from_files(files["image"], param="image")
    masks = from_files(files["mask"][:1], param="mask")
    return params, Sources(images, masks[0] if masks else None)


def _edit_in_json(request: Request) -> tuple[EditParams, Sources]:
    params = read_params(request, JsonEditParams)
    params.check()
    wanted = [
        (image.image_url, f"images[{number}].image_url")
        for number, image in enumerate(params.images)
    ]
    if params.mask:
        wanted.append((params.mask.image_url, "mask.image_url"))
    images = from_urls(wanted, tenant_code=caller(request).tenant_code)
    mask = images.pop() if params.mask else None
    return params, Sources(images, mask)


def _classification_in_form(request: Request) -> tuple[ClassificationParams, InputImage]:
    params, files = read_multipart(request, FormClassificationParams, files=("image",))
    _require(files["image"], param="image")
    (image,) = from_files(files["image"][:1], param="image")
    return params, image


def _classification_in_json(request: Request) -> tuple[ClassificationParams, InputImage]:
    params = read_params(request, JsonClassificationParams)
    tenant_code = caller(request).tenant_code
    (image,) = from_urls([(params.image, "image")], tenant_code=tenant_code)
    return params, image


def _require(files: Sequence[FormFile], *, param: str) -> None:
    if not files:
        raise InvalidRequestError(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
