"""Pictures by their URL: who may see them, for how long, and what when they cannot be kept."""

import re
import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from django.db import OperationalError
from django.test import RequestFactory
from django.utils import timezone

from agentflare.errors import InvalidRequestError
from inference.images import views
from inference.images.answers import Picture
from inference.images.models import StoredImage
from inference.images.params import GenerationParams
from inference.images.picture_task import GENERATIONS, PictureTask, without_one_answer_for_all
from inference.images.services import check_storage, delete_expired, digest_of, store_images
from inference.images.tasks import delete_expired_images_task
from inference.images.tests.drawn import drawn
from inference.metering.measured import Measured
from inference.metering.tests.test_pictures import offer
from inference.pipeline import Call, Told
from inference.tasks import Done, Part

PICTURE = Picture(drawn(), "image/png")


@pytest.fixture
def tenant_code() -> str:
    return uuid.uuid4().hex[:12]


def stored(tenant_code: str, count: int = 1) -> list[str]:
    """The tokens."""
    urls = store_images([PICTURE] * count, tenant_code=tenant_code)
    assert urls is not None
    return [url.rpartition("/")[2] for url in urls]


def rows(tenant_code: str) -> Any:
    return StoredImage.objects.filter(tenant_code=tenant_code)


def expire(tenant_code: str) -> None:
    rows(tenant_code).update(expires_at=timezone.now() - timedelta(seconds=1))


def get(token: str) -> Any:
    return views.StoredImageView.as_view()(RequestFactory().get("/v1/images/files/x"), token=token)


def test_whoever_has_the_url_sees_the_image(tenant_code: str, settings: Any) -> None:
    settings.AGENTFLARE_URL = "https://ai.example.com"
    (url,) = store_images([PICTURE], tenant_code=tenant_code) or []

    assert re.fullmatch(r"https://ai\.example\.com/v1/images/files/[\w-]{43}", url)
    answer = get(url.rpartition("/")[2])
    assert (answer.status_code, answer.content) == (200, PICTURE.content)
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Disposition"] == "inline"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Content-Length"] == str(len(PICTURE.content))
    scope, age = answer["Cache-Control"].split(", max-age=")
    assert scope == "private"
    assert 3590 <= int(age) <= 3600


def test_the_token_itself_is_not_kept(tenant_code: str) -> None:
    (token,) = stored(tenant_code)

    (row,) = rows(tenant_code).values()
    assert token not in str(row)
    assert row["token_digest"] == digest_of(token)
    assert get(row["token_digest"]).status_code == 404


def test_every_image_has_a_url_of_its_own(tenant_code: str) -> None:
    assert len(set(stored(tenant_code, 10))) == 10


def test_an_image_whose_hour_is_over_is_gone_deleted_or_not(tenant_code: str) -> None:
    (token,) = stored(tenant_code)
    expire(tenant_code)

    answer = get(token)

    assert answer.status_code == 404
    assert orjson.loads(answer.content)["error"]["code"] == "image_not_found"
    assert rows(tenant_code).count() == 1


@pytest.mark.parametrize("token", ["", "x", "ü", "x" * 500, "' OR 1=1"])
def test_an_unknown_token_is_not_found(token: str) -> None:
    answer = get(token)

    assert answer.status_code == 404
    assert orjson.loads(answer.content)["error"]["type"] == "invalid_request_error"


def test_what_has_expired_is_deleted_in_batches_and_the_rest_stays(
    tenant_code: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("inference.images.services._DELETED_AT_ONCE", 2)
    stored(tenant_code, 5)
    expire(tenant_code)
    (token,) = stored(tenant_code)

    assert delete_expired_images_task() >= 5
    assert delete_expired() == 0
    assert get(token).status_code == 200
    assert rows(tenant_code).count() == 1


def test_the_task_runs_by_itself(settings: Any) -> None:
    tasks = [entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()]

    assert f"{delete_expired_images_task.name}" in tasks


def test_a_tenant_whose_images_fill_its_room_is_told_before_the_call(
    tenant_code: str, settings: Any
) -> None:
    settings.IMAGE_URL_TENANT_BYTES = 2 * len(PICTURE.content)
    stored(tenant_code)
    check_storage(tenant_code=tenant_code)
    stored(tenant_code)

    with pytest.raises(InvalidRequestError) as caught:
        check_storage(tenant_code=tenant_code)
    assert (caught.value.param, caught.value.code) == ("response_format", "image_storage_full")
    check_storage(tenant_code="other")
    expire(tenant_code)
    check_storage(tenant_code=tenant_code)


# --- PostgreSQL does not answer -----------------------------------------------------


def down(*args: Any, **kwargs: Any) -> Any:
    raise OperationalError("no connection")


def answer(monkeypatch: Any, params: GenerationParams, calls: list[Any]) -> Any:
    """As if upstream had answered with a picture for each image asked for."""
    parts = [Part(PICTURE, Measured())] * params.count
    done = Done(offer("sdxl"), parts, Measured(), Told("1", "1", None), {"X-Request-Cost": "1"})
    monkeypatch.setattr(views, "caller", lambda request: SimpleNamespace(tenant_code="down"))
    monkeypatch.setattr(views, "call_of", lambda request, **options: call())
    monkeypatch.setattr(views, "run_task", lambda *args: calls.append(args) or done)
    task = PictureTask(params, endpoint=GENERATIONS)
    return views.answer_pictures(None, params, task)  # type: ignore[arg-type]


def test_images_that_cannot_be_kept_after_all_are_answered_as_base64(monkeypatch: Any) -> None:
    params = GenerationParams(model="m", prompt="p", n=2, response_format="url")
    monkeypatch.setattr(type(StoredImage.objects), "bulk_create", down)

    body = orjson.loads(answer(monkeypatch, params, []).content)

    assert body["data"] == [{"b64_json": PICTURE.as_base64()}] * 2


def test_while_they_cannot_be_kept_no_url_is_promised_and_nothing_is_called(
    monkeypatch: Any,
) -> None:
    params = GenerationParams(model="m", prompt="p", response_format="url")
    monkeypatch.setattr("inference.images.services.stored_bytes", down)
    calls: list[Any] = []

    with pytest.raises(OperationalError):
        answer(monkeypatch, params, calls)

    assert calls == []


def test_base64_needs_no_postgresql(monkeypatch: Any) -> None:
    params = GenerationParams(model="m", prompt="p")
    monkeypatch.setattr("inference.images.services.stored_bytes", down)
    monkeypatch.setattr(type(StoredImage.objects), "bulk_create", down)

    body = orjson.loads(answer(monkeypatch, params, []).content)

    assert body["data"] == [{"b64_json": PICTURE.as_base64()}]


# --- AI Gateway's cache -------------------------------------------------------------


def call() -> Call:
    return Call(None, uuid.uuid4(), GENERATIONS, "m", cache_ttl_s=60)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "ttl_s"), [({}, 60), ({"n": 2}, 0), ({"n": 2, "seed": 1}, 60), ({"n": 1}, 60)]
)
def test_several_images_without_a_seed_do_not_come_from_the_cache(
    wanted: dict[str, Any], ttl_s: int
) -> None:
    params = GenerationParams(model="m", prompt="p", **wanted)

    assert without_one_answer_for_all(call(), params).cache_ttl_s == ttl_s
