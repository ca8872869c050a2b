"""Pictures over HTTP: the real `openai` package against web, worker and the stand-in."""

import base64
import io
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests
from PIL import Image

from billing.admission.services import books
from inference.images.tests.drawn import data_url, drawn, mask, opened
from inference.images.tests.server import Server, answer
from inference.tests.settled import nusd, say, settled_record, settled_records

# One neuron with the markup of 20 %.
NUSD = Decimal(13_200)


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)


def picture(image: Any) -> Image.Image:
    assert image.url is None
    return opened(base64.b64decode(image.b64_json, validate=True))


def file(content: bytes, name: str = "image.png") -> tuple[str, io.BytesIO, str]:
    return name, io.BytesIO(content), "image/png"


# --- making -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "form", "size", "neurons"),
    [
        ("flux-1-schnell", "jpeg", "1024x1024", "172.80"),
        ("lucid-origin", "jpeg", "1120x1120", "3904.6875"),
        ("phoenix-1", "jpeg", "1024x1024", "3120"),
        ("flux-2-dev", "jpeg", "1024x768", "5625"),
        ("flux-2-klein-4b", "jpeg", "1024x768", "78.15"),
        ("flux-2-klein-9b", "jpeg", "1024x768", "1363.64"),
        ("sdxl", "png", "1024x1024", "0"),
        ("sdxl-lightning", "jpeg", "1024x1024", "0"),
    ],
)
@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_every_model_makes_a_picture_at_cloudflares_price_with_the_markup(
    client: openai.OpenAI, cast: Any, model: str, form: str, size: str, neurons: str
) -> None:
    raw = client.images.with_raw_response.generate(model=model, prompt="a red bicycle")
    response = raw.parse()

    (image,) = response.data or []
    made = picture(image)
    assert f"{made.width}x{made.height}" == response.size == size
    assert (made.format or "").lower() == response.output_format == form
    charged = int((Decimal(neurons) * NUSD).to_integral_value(rounding="ROUND_CEILING"))
    assert nusd(raw.headers["x-request-cost"]) == charged
    assert nusd(raw.headers["x-estimated-cost"]) == charged
    usage = json.loads(raw.text)["usage"]
    assert usage["request_cost"] == raw.headers["x-request-cost"]
    assert response.usage is not None
    assert response.usage.total_tokens == 0
    record = settled_record(cast)
    assert (record.status, record.cost_nusd, record.endpoint) == (
        "completed",
        charged,
        "images/generations",
    )


def test_phoenix_tells_no_neurons_and_is_charged_by_its_formula(
    client: openai.OpenAI, cast: Any
) -> None:
    client.images.generate(model="phoenix-1", prompt="p", size="1536x1024")

    record = settled_record(cast)
    assert record.neurons is None
    assert record.cost_nusd == 6 * (530 + 25 * 10) * NUSD
    assert record.truth == "counted"
    assert record.quantities == {"output_tile_512": "6", "step": "150"}


def test_several_images_are_several_calls_with_seeds_of_their_own(
    gateway: Any, client: openai.OpenAI, cast: Any
) -> None:
    response = client.images.generate(
        model="flux-1-schnell", prompt=f"a {cast.code}", n=5, extra_body={"seed": 40, "steps": 1}
    )

    assert len({image.b64_json for image in response.data or []}) == 5
    calls = gateway.upstream_calls(cast.code)
    assert sorted(call["body"]["seed"] for call in calls) == [40, 41, 42, 43, 44]
    assert settled_record(cast).cost_nusd == 5 * 4 * (Decimal("4.8") + Decimal("9.6")) * NUSD


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_format_asked_for_is_the_one_that_comes(
    client: openai.OpenAI, output_format: Any
) -> None:
    response = client.images.generate(
        model="flux-2-klein-4b", prompt="p", size="256x256", output_format=output_format
    )

    (image,) = response.data or []
    assert picture(image).format == output_format.upper()
    assert response.output_format == output_format
    assert response.size == "256x256"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "flux-1-schnell", "size": "512x512"}, "size"),
        ({"model": "flux-1-schnell", "stream": True}, "stream"),
        ({"model": "flux-1-schnell", "n": 11}, "n"),
        ({"model": "flux-1-schnell", "n": 0}, "n"),
        ({"model": "flux-1-schnell", "background": "transparent"}, "background"),
        ({"model": "flux-1-schnell", "colour": "red"}, "colour"),
        ({"model": "flux-1-schnell", "prompt": ""}, "prompt"),
        ({"model": "flux-1-schnell", "prompt": None}, "prompt"),
        ({}, "model"),
        ({"model": "llama-3.3-70b-fast"}, "model"),
        ({"model": "sd-1.5-inpainting"}, "model"),
        ({"model": "dall-e-3"}, "model"),
    ],
)
def test_a_refusal_names_the_field_and_nothing_is_held_or_called(
    gateway: Any, cast: Any, body: dict[str, Any], param: str
) -> None:
    prompt = f"a {cast.code}"
    response = gateway.post(cast, "images/generations", {"prompt": prompt, **body})

    assert response.status_code in {400, 404}
    assert response.json()["error"]["param"] == param
    assert gateway.upstream_calls(cast.code) == []
    assert books(cast.tenant).available == 25 * 10**9


def test_too_little_credit_is_told_before_the_call(gateway: Any) -> None:
    poor = gateway.cast(credit_nusd=int(2 * Decimal("172.8") * NUSD))
    body = {"model": "flux-1-schnell", "prompt": f"a {poor.code}"}

    refused = gateway.post(poor, "images/generations", {**body, "n": 3})

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert gateway.upstream_calls(poor.code) == []
    assert gateway.post(poor, "images/generations", {**body, "n": 2}).status_code == 200


def test_a_prompt_that_upstream_flags_costs_nothing(gateway: Any, cast: Any) -> None:
    fault = {"status": 400, "code": 3030, "message": "AiError: Input flagged"}
    response = gateway.post(
        cast, "images/generations", {"model": "flux-2-klein-4b", "prompt": say(error=fault), "n": 3}
    )

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "content_policy_violation"
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")
    assert books(cast.tenant).available == 25 * 10**9


@pytest.mark.parametrize("model", ["flux-1-schnell", "phoenix-1"])
def test_half_a_picture_is_asked_for_again_and_then_costs_nothing(
    gateway: Any, cast: Any, model: str
) -> None:
    once = say(truncated_json=True, error_times=1, id=cast.code)
    assert (
        gateway.post(cast, "images/generations", {"model": model, "prompt": once}).status_code
        == 200
    )
    cost = settled_record(cast).cost_nusd

    always = say(truncated_json=True, id=f"{cast.code}-always")
    broken = gateway.post(cast, "images/generations", {"model": model, "prompt": always})

    assert (broken.status_code, broken.json()["error"]["code"]) == (502, "upstream_error")
    records = settled_records(cast, 2)
    assert sorted(record.cost_nusd for record in records) == [0, cost]


# --- URLs ---------------------------------------------------------------------------


def test_an_image_by_its_url_needs_no_key_and_no_other_token_leads_to_it(
    gateway: Any, client: openai.OpenAI
) -> None:
    response = client.images.generate(
        model="sdxl", prompt="p", size="256x256", response_format="url", n=2
    )
    first, second = [str(image.url) for image in response.data or []]
    assert all(image.b64_json is None for image in response.data or [])

    there = requests.get(first, timeout=10)
    assert f":{urlsplit(gateway.url).port}/v1/images/files/" in first
    assert there.status_code == 200
    assert there.headers["content-type"] == "image/png"
    assert there.headers["x-content-type-options"] == "nosniff"
    assert there.headers["content-disposition"] == "inline"
    assert there.headers["cache-control"].startswith("private, max-age=")
    assert there.headers["x-request-id"]
    assert opened(there.content).size == (256, 256)
    assert requests.get(second, timeout=10).content != there.content
    assert requests.head(first, timeout=10).headers["content-length"] == str(len(there.content))

    globex = gateway.cast(name="globex")
    other = requests.get(first[:-1] + "_", headers=globex.auth, timeout=10)
    assert other.status_code == 404
    assert other.json()["error"]["code"] == "image_not_found"
    assert requests.get(first.rpartition("/")[0] + "/", timeout=10).status_code == 404
    assert requests.post(first, timeout=10).json()["error"]["code"] == "method_not_allowed"


# --- editing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "neurons"),
    [
        # 3 tiles to make, and 2 to start from.
        ("flux-2-dev", 50 * (3 * Decimal("37.5") + 2 * Decimal("18.75"))),
        ("flux-2-klein-4b", 3 * Decimal("26.05") + 2 * Decimal("5.37")),
        ("flux-2-klein-9b", Decimal("1363.64") + 2 * Decimal("181.82")),
    ],
)
def test_an_edit_starts_from_images_made_small_enough(
    gateway: Any, client: openai.OpenAI, cast: Any, model: str, neurons: Decimal
) -> None:
    raw = client.images.with_raw_response.edit(
        model=model,
        image=[file(drawn(2000, 1000)), file(drawn(100, 80, form="JPEG"))],
        prompt=f"make it blue {cast.code}",
        quality="high",
        user="u",
    )

    (image,) = raw.parse().data or []
    assert picture(image).size == (1024, 768)
    (call,) = gateway.upstream_calls(cast.code)
    assert set(call["form"]) == {"prompt", "input_image_0", "input_image_1"}
    charged = int((neurons * NUSD).to_integral_value(rounding="ROUND_CEILING"))
    record = settled_record(cast)
    assert (record.cost_nusd, record.endpoint) == (charged, "images/edits")
    assert nusd(raw.headers["x-estimated-cost"]) == charged


def test_one_image_and_parameters_as_text(client: openai.OpenAI) -> None:
    response = client.images.edit(
        model="flux-2-klein-4b",
        image=file(drawn()),
        prompt="p",
        n=2,
        size="512x256",
        output_format="webp",
        output_compression=50,
        extra_body={"seed": 5},
    )

    assert response.size == "512x256"
    assert [picture(image).format for image in response.data or []] == ["WEBP", "WEBP"]


def test_inpainting_takes_openais_mask(gateway: Any, client: openai.OpenAI, cast: Any) -> None:
    response = client.images.edit(
        model="sd-1.5-inpainting",
        image=file(drawn(320, 256)),
        mask=file(mask(320, 256, box=(0, 0, 100, 100)), "mask.png"),
        prompt=f"a {cast.code}",
    )

    (image,) = response.data or []
    assert picture(image).size == (320, 256)
    (call,) = gateway.upstream_calls(cast.code)
    body = call["body"]
    white_where_edited = opened(bytes(body["mask"]))
    assert [white_where_edited.getpixel(at) for at in ((5, 5), (150, 150))] == [255, 0]


def test_images_in_json_as_newer_clients_send_them(gateway: Any, cast: Any) -> None:
    server = Server()
    server.pages["/a.png"] = answer(drawn(700, 700))
    images = [{"image_url": data_url(drawn())}, {"image_url": server.url()}]
    body = {"model": "flux-2-klein-4b", "prompt": f"a {cast.code}", "images": images}
    try:
        response = gateway.post(cast, "images/edits", body)
    finally:
        server.stop()

    assert response.status_code == 200, response.text
    (call,) = gateway.upstream_calls(cast.code)
    assert {"input_image_0", "input_image_1"} < set(call["form"])


@pytest.mark.parametrize(
    ("model", "files", "fields", "param"),
    [
        ("flux-2-klein-4b", [], {}, "image"),
        ("flux-2-klein-4b", [("image", b"no image")], {}, "image"),
        ("flux-2-klein-4b", [("image[]", drawn())] * 5, {}, "image"),
        ("flux-2-klein-4b", [("image", drawn()), ("mask", drawn())], {}, "mask"),
        ("flux-2-klein-4b", [("image", drawn())], {"n": "many"}, "n"),
        ("flux-2-klein-4b", [("image", drawn())], {"colour": "red"}, "colour"),
        ("flux-2-klein-4b", [("image", drawn())], {"stream": "true"}, "stream"),
        ("flux-1-schnell", [("image", drawn())], {}, "model"),
        ("sd-1.5-inpainting", [("image", drawn())], {}, "mask"),
        ("sd-1.5-inpainting", [("image", drawn()), ("mask", drawn(9, 9))], {}, "mask"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_by_name_and_nothing_is_called(
    gateway: Any,
    cast: Any,
    model: str,
    files: list[tuple[str, bytes]],
    fields: dict[str, str],
    param: str,
) -> None:
    response = requests.post(
        f"{gateway.base_url}/images/edits",
        data={"model": model, "prompt": f"a {cast.code}", **fields},
        # A form even where there is no file.
        files=[(name, (f"{name}.png", content)) for name, content in files] or {"n": (None, "1")},
        headers=cast.auth,
        timeout=20,
    )

    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert gateway.upstream_calls(cast.code) == []
    assert books(cast.tenant).available == 25 * 10**9


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "images"),
        ({"images": []}, "images"),
        ({"images": [{"file_id": "file-1"}]}, "images[0].image_url"),
        ({"images": [{"image_url": "file:///etc/passwd"}]}, "images[0].image_url"),
    ],
)
def test_so_is_one_in_json(gateway: Any, cast: Any, body: dict[str, Any], param: str) -> None:
    response = gateway.post(
        cast, "images/edits", {"model": "flux-2-klein-4b", "prompt": "p", **body}
    )

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


# --- labels -------------------------------------------------------------------------


@pytest.mark.billing_row("embeddings, pictures, labels, scores, translations: completed")
def test_labels_of_an_image_in_each_form(gateway: Any, cast: Any) -> None:
    url = f"{gateway.base_url}/images/classifications"
    content = drawn(50, 40)
    in_json = gateway.post(
        cast, "images/classifications", {"model": "resnet-50", "image": data_url(content)}
    )
    in_form = requests.post(
        url,
        data={"model": "resnet-50", "top_k": "1"},
        files={"image": ("a.png", content)},
        headers=cast.auth,
        timeout=20,
    )

    body = in_json.json()
    assert (body["object"], body["model"]) == ("classification", "resnet-50")
    labels = [row["label"] for row in body["results"]]
    assert labels[:2] == ["PNG FILE", "50 BY 40 PIXELS"]
    scores = [row["score"] for row in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert body["usage"]["images"] == "1"
    assert body["usage"]["request_cost"] == in_json.headers["x-request-cost"]
    assert in_form.json()["results"] == body["results"][:1]
    # 228,055 neurons a million images.
    charged = int((Decimal("0.228055") * NUSD).to_integral_value(rounding="ROUND_CEILING"))
    assert [record.cost_nusd for record in settled_records(cast, 2)] == [charged] * 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "resnet-50"}, "image"),
        ({"model": "resnet-50", "image": "x"}, "image"),
        ({"model": "resnet-50", "image": data_url(b"x")}, "image"),
        ({"model": "resnet-50", "image": data_url(drawn()), "top_k": 0}, "top_k"),
        ({"model": "sdxl", "image": data_url(drawn())}, "model"),
    ],
)
def test_labels_of_what_is_no_image_are_refused(
    gateway: Any, cast: Any, body: dict[str, Any], param: str
) -> None:
    response = gateway.post(cast, "images/classifications", body)

    assert response.status_code in {400, 404}
    assert response.json()["error"]["param"] == param
    assert books(cast.tenant).available == 25 * 10**9


def test_a_repeat_with_an_idempotency_key_gets_the_same_picture_once_charged(
    gateway: Any, cast: Any
) -> None:
    body = {"model": "sdxl-lightning", "prompt": f"a {cast.code}", "size": "256x256"}
    first, again = (
        requests.post(
            f"{gateway.base_url}/images/generations",
            data=json.dumps(body),
            headers={**cast.auth, "Idempotency-Key": "k", "Content-Type": "application/json"},
            timeout=30,
        )
        for _ in range(2)
    )

    assert first.status_code == 200
    assert again.content == first.content
    assert len(gateway.upstream_calls(cast.code)) == 1


def test_the_cache_answers_the_same_call_and_never_two_of_one_request(
    gateway: Any, cast: Any
) -> None:
    def make(**params: Any) -> Any:
        response = requests.post(
            f"{gateway.base_url}/images/generations",
            json={"model": "sdxl", "prompt": f"a {cast.code}", "size": "256x256", **params},
            headers={**cast.auth, "x-agentflare-cache-ttl": "600"},
            timeout=30,
        )
        assert response.status_code == 200, response.text
        return response

    first, again, two = make(), make(), make(n=2)

    assert again.headers["x-agentflare-cache"] == "HIT"
    assert again.json()["data"] == first.json()["data"]
    assert len({image["b64_json"] for image in two.json()["data"]}) == 2
