"""Pictures through the pipeline, with answers of a fake upstream."""

import base64
import io
import uuid
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from agentflare.errors import ContentPolicyError, UpstreamError
from billing.admission.services import books
from billing.prices.models import Unit
from inference.catalog import selectors
from inference.images.params import GenerationParams
from inference.images.picture_task import GENERATIONS, PictureTask
from inference.images.tests.drawn import drawn
from inference.pipeline import Call
from inference.tasks import Done, run_task
from inference.upstreams import client
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.breakers import breakers
from inference.upstreams.client import Answer
from inference.workers_ai.failures import failure_for
from tenants.keys.lookup import resolve_key


def answer(content: bytes, media_type: str, **headers: str) -> Answer:
    stream = io.BytesIO(content)
    response: Any = SimpleNamespace(
        raw=SimpleNamespace(connection=None, read1=stream.read1),
        headers={
            "content-type": media_type,
            **{k.replace("_", "-"): v for k, v in headers.items()},
        },
        status_code=200,
        content=content,
        close=lambda: None,
    )
    return Answer(response, Account("main", WORKERS_AI, "http://upstream"))


def in_json(content: bytes, **headers: str) -> Answer:
    result = {"result": {"image": base64.b64encode(content).decode()}, "success": True}
    return answer(orjson.dumps(result), "application/json", **headers)


class Upstream:
    """Answers in turn, or fails; `requests` are what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []

    def send(self, account: Any, model: str, request: Any, **options: Any) -> Answer:
        self.requests.append(request)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Answer)
        return found


@pytest.fixture
def fake(monkeypatch: Any, settings: Any) -> Any:
    settings.CLOUDFLARE_ACCOUNT_ID = "test"
    selectors.forget()

    def answers(*given: Any) -> Upstream:
        upstream = Upstream(*given)
        monkeypatch.setattr(client, "send", upstream.send)
        return upstream

    yield answers
    selectors.forget()
    breakers.open_all()


def make(cast: Any, model: str, **params: Any) -> Done:
    wanted = GenerationParams(model=model, prompt="p", **params)
    call = Call(resolve_key(cast.key), uuid.uuid4(), GENERATIONS, model)
    return run_task(call, PictureTask(wanted, endpoint=GENERATIONS))


def assert_nothing_was_taken(cast: Any) -> None:
    gate = books(cast.tenant)
    assert (gate.available, gate.held) == (25 * 10**9, 0)


def test_one_of_several_that_fails_costs_nothing(acme: Any, fake: Any) -> None:
    good = [in_json(drawn(), cf_ai_neurons="172.8") for _ in range(2)]
    upstream = fake(*good, failure_for(3030, "flagged", 400))

    with pytest.raises(ContentPolicyError):
        make(acme, "flux-1-schnell", n=3)

    assert len(upstream.requests) == 3
    assert_nothing_was_taken(acme)


@pytest.mark.parametrize(
    "wrong",
    [
        in_json(b"no picture"),
        in_json(drawn(200, 200)[:-30]),
        answer(b'{"result": {}}', "application/json"),
        answer(b"[]", "application/json"),
        answer(b"<html>", "text/html"),
        answer(b"GIF", "image/png"),
        answer(b"", "image/png"),
    ],
)
def test_what_is_no_picture_is_asked_for_again_and_then_costs_nothing(
    acme: Any, fake: Any, wrong: Answer
) -> None:
    upstream = fake(wrong, wrong, wrong)

    with pytest.raises(UpstreamError):
        make(acme, "sdxl")

    assert len(upstream.requests) == 3
    assert_nothing_was_taken(acme)


def test_bytes_are_a_picture_whatever_they_are_called(acme: Any, fake: Any) -> None:
    fake(answer(drawn(form="JPEG"), "image/png"), answer(drawn(), "application/octet-stream"))

    done = make(acme, "sdxl", n=2)

    assert [picture.media_type for picture in done.values] == ["image/jpeg", "image/png"]


def test_a_picture_that_cannot_be_made_into_the_format_asked_for_is_not_paid(
    acme: Any, fake: Any
) -> None:
    whole = drawn(200, 200)
    broken = whole[:60] + bytes(20) + whole[80:]
    fake(*[in_json(broken, cf_ai_neurons="172.8") for _ in range(3)])

    with pytest.raises(UpstreamError):
        make(acme, "flux-1-schnell", output_format="webp")

    assert_nothing_was_taken(acme)


def test_cloudflares_own_neurons_decide_where_they_are_told(acme: Any, fake: Any) -> None:
    # As billed before steps were charged: less than our own count, and believed.
    fake(in_json(drawn(), cf_ai_neurons="19.2"))

    done = make(acme, "flux-1-schnell")

    assert books(acme.tenant).available == 25 * 10**9 - 19.2 * 13_200
    assert done.used.quantities == {Unit.OUTPUT_TILE: 4, Unit.STEP: 16}


def test_ours_do_where_theirs_are_beyond_belief(acme: Any, fake: Any) -> None:
    fake(in_json(drawn(), cf_ai_neurons="99999"))

    make(acme, "flux-1-schnell")

    assert books(acme.tenant).available == 25 * 10**9 - 172.8 * 13_200
