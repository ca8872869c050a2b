"""The units of a picture: Cloudflare's published bills, every model, and nonsense."""

import io
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agentflare.money import MAX_BALANCE_NUSD, NUSD_PER_NEURON, neurons_nusd
from billing.prices.models import Unit
from billing.prices.services import Price
from inference.catalog.selectors import Offer, read_catalogue
from inference.catalog.services import DATA_FILE, neurons_by_unit
from inference.metering.pictures import UNITS, quantities
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

ROWS = {row["friendly_id"]: row for row in json.loads(DATA_FILE.read_text())}
PICTURES = [
    name
    for name, row in ROWS.items()
    if row["kind"] in ("text-to-image", "inpainting") and row["pricing"]
]
FORMS = ("flux-2-dev", "flux-2-klein-4b", "flux-2-klein-9b")


def offer(name: str) -> Offer:
    """At Cloudflare's price, without a markup."""
    row = ROWS[name]
    costs = {unit: n * NUSD_PER_NEURON for unit, n in neurons_by_unit(row).items()}
    price = Price(1, None, costs, costs, Decimal(1), follows_neurons=True)  # type: ignore[arg-type]
    return Offer(
        name=name,
        upstream_model=row["id"],
        kind=row["kind"],
        vendor="",
        created=0,
        upstream="",
        context_window=None,
        max_input_tokens=None,
        max_output_tokens=None,
        dimensions=None,
        capabilities=frozenset(),
        json_mode="",
        request_form=row["request_form"],
        answer_form=row["run_output"],
        vocabulary="unknown",
        price=price,
    )


def call(name: str, **fields: Any) -> UpstreamRequest:
    body = {"prompt": "a red bicycle", **fields}
    if name in FORMS:
        return FormRequest({key: str(value) for key, value in body.items()})
    return JsonRequest(body)


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def with_images(*images: bytes, **fields: Any) -> FormRequest:
    files = {f"input_image_{i}": (f"{i}.png", each, "image/png") for i, each in enumerate(images)}
    return FormRequest({"prompt": "p", **{k: str(v) for k, v in fields.items()}}, files)


# --- bills --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "neurons"),
    [
        ("flux-1-schnell", {"steps": 4}, "172.80"),
        ("flux-1-schnell", {}, "172.80"),
        ("phoenix-1", {"width": 1024, "height": 1024, "num_steps": 25}, "3120"),
        ("phoenix-1", {}, "3120"),
        ("flux-2-dev", {"width": 1024, "height": 1024, "steps": 50}, "7500"),
        ("flux-2-dev", {"width": 1024, "height": 1024}, "7500"),
        ("flux-2-klein-4b", {"width": 1280, "height": 720}, "104.20"),
        ("flux-2-klein-9b", {"width": 1024, "height": 1024}, "1363.64"),
        ("sdxl", {"num_steps": 20}, "0"),
        ("sdxl-lightning", {}, "0"),
        ("sd-1.5-inpainting", {}, "0"),
    ],
)
def test_the_price_is_what_cloudflare_has_billed(
    name: str, fields: dict[str, Any], neurons: str
) -> None:
    one = offer(name)

    charged = one.price.charge_nusd(quantities(one, call(name, **fields)))

    assert charged == Decimal(neurons) * 11_000


def test_lucids_bill_is_one_of_parts_of_tiles() -> None:
    one = offer("lucid-origin")

    used = quantities(one, call("lucid-origin"))

    assert used[Unit.OUTPUT_TILE] == Decimal("4.78515625")
    exact = used[Unit.OUTPUT_TILE] * (636 + 15 * 12)
    # Published as 3,904.69: rounded to two digits.
    assert round(exact, 2) == Decimal("3904.69")
    assert one.price.charge_nusd(used) == neurons_nusd(exact)


def test_the_catalogues_own_prices_have_the_markup_on_top() -> None:
    one = read_catalogue().find("flux-1-schnell")

    charged = one.price.charge_nusd(quantities(one, call("flux-1-schnell")))

    assert charged == Decimal("172.80") * 13_200


# --- every model --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("flux-1-schnell", {"steps": 8}, {Unit.OUTPUT_TILE: 4, Unit.STEP: 32}),
        # Its size cannot be chosen.
        (
            "flux-1-schnell",
            {"width": 512, "height": 512},
            {Unit.OUTPUT_TILE: 4, Unit.STEP: 16},
        ),
        (
            "lucid-origin",
            {"width": 512, "height": 256, "num_steps": 10},
            {Unit.OUTPUT_TILE: Decimal("0.5"), Unit.STEP: 5},
        ),
        (
            "lucid-origin",
            {"width": 512, "height": 512, "num_steps": 10, "steps": 20},
            {Unit.OUTPUT_TILE: 1, Unit.STEP: 20},
        ),
        # Not known: the most it can be.
        (
            "phoenix-1",
            {"width": 600, "height": 600},
            {Unit.OUTPUT_TILE: 2, Unit.STEP: 50},
        ),
        ("flux-2-dev", {}, {Unit.OUTPUT_TILE_STEP: 150, Unit.INPUT_TILE_STEP: 0}),
        (
            "flux-2-dev",
            {"width": 513, "height": 512, "steps": 10},
            {Unit.OUTPUT_TILE_STEP: 20, Unit.INPUT_TILE_STEP: 0},
        ),
        ("flux-2-klein-4b", {}, {Unit.OUTPUT_TILE: 3, Unit.INPUT_TILE: 0}),
        ("flux-2-klein-4b", {"steps": 50}, {Unit.OUTPUT_TILE: 3, Unit.INPUT_TILE: 0}),
        (
            "flux-2-klein-9b",
            {"width": 1920, "height": 1920},
            {Unit.FIRST_MEGAPIXEL: 1, Unit.SUBSEQUENT_MEGAPIXEL: 3, Unit.INPUT_MEGAPIXEL: 0},
        ),
        (
            "flux-2-klein-9b",
            {"width": 256, "height": 256},
            {Unit.FIRST_MEGAPIXEL: 1, Unit.SUBSEQUENT_MEGAPIXEL: 0, Unit.INPUT_MEGAPIXEL: 0},
        ),
        ("sdxl", {}, {Unit.STEP: 20}),
        ("sdxl", {"num_steps": 5}, {Unit.STEP: 5}),
    ],
)
def test_units_of_a_picture(
    name: str, fields: dict[str, Any], expected: dict[Unit, int | Decimal]
) -> None:
    assert quantities(offer(name), call(name, **fields)) == expected


def test_input_images_count_by_whole_tiles_each() -> None:
    two = with_images(png(500, 300), png(100, 100), steps=10)

    assert quantities(offer("flux-2-dev"), two)[Unit.INPUT_TILE_STEP] == 20
    assert quantities(offer("flux-2-klein-4b"), two)[Unit.INPUT_TILE] == 2
    assert quantities(offer("flux-2-klein-9b"), two)[Unit.INPUT_MEGAPIXEL] == 2


def test_an_input_image_that_is_too_large_counts_as_large_as_it_is() -> None:
    large = with_images(png(1024, 1024))

    assert quantities(offer("flux-2-klein-4b"), large)[Unit.INPUT_TILE] == 4


@pytest.mark.parametrize("content", [b"", b"no image", png(300, 300)[:20]])
def test_an_input_image_that_cannot_be_read_counts_as_one(content: bytes) -> None:
    assert quantities(offer("flux-2-klein-4b"), with_images(content))[Unit.INPUT_TILE] == 1


def test_all_models_are_known_and_only_their_own_units_counted() -> None:
    for name in PICTURES:
        one = offer(name)
        assert set(quantities(one, call(name))) == UNITS.intersection(one.price.rates)


@pytest.mark.parametrize("name", ["llama-3.3-70b-fast", "whisper", "resnet-50", "bge-m3"])
def test_models_that_make_no_pictures_have_none_of_their_units(name: str) -> None:
    assert quantities(offer(name), JsonRequest({"width": 1024, "steps": 4})) == {}
    assert quantities(offer(name), RawRequest(b"bytes", "image/png")) == {}


def test_a_price_set_per_image_has_no_tiles() -> None:
    one = offer("flux-1-schnell")
    per_image = replace(one.price, rates={Unit.IMAGES: Decimal(5)}, costs={Unit.IMAGES: Decimal(5)})

    assert quantities(replace(one, price=per_image), call("flux-1-schnell")) == {}


# --- nonsense -----------------------------------------------------------------------

DEFAULTS = {Unit.OUTPUT_TILE: Decimal("4.78515625"), Unit.STEP: Decimal("71.77734375")}


@pytest.mark.parametrize(
    "value",
    [None, 0, -5, "", "many", True, [], {}, [1024], "1e", "-1024", "nan", "inf", "9" * 50],
)
def test_what_is_no_number_counts_as_the_models_own(value: Any) -> None:
    request = JsonRequest({"prompt": "p", "width": value, "height": value, "num_steps": value})

    assert quantities(offer("lucid-origin"), request) == DEFAULTS


@pytest.mark.parametrize("value", ["512", " 512 ", 512.0, "512.0", Decimal(512), 511.5])
def test_a_number_in_another_form_is_that_number(value: Any) -> None:
    request = JsonRequest({"prompt": "p", "width": value, "height": 512, "num_steps": "1"})

    assert quantities(offer("lucid-origin"), request) == {Unit.OUTPUT_TILE: 1, Unit.STEP: 1}


@pytest.mark.parametrize("value", [10**6, pytest.param(10**5000, id="5001 digits"), 1e300, "1e300"])
def test_an_absurd_number_is_held_down(value: Any) -> None:
    request = JsonRequest({"prompt": "p", "width": value, "height": value, "num_steps": value})

    tiles = 64
    assert quantities(offer("lucid-origin"), request) == {
        Unit.OUTPUT_TILE: tiles,
        Unit.STEP: tiles * 200,
    }


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=50), st.binary()
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(), SCALARS))
NAMES = st.sampled_from(
    ["width", "height", "steps", "num_steps", "input_image_0", "prompt", "seed", "image"]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(name=st.sampled_from(PICTURES), fields=st.dictionaries(NAMES, VALUES))
def test_whatever_is_sent_costs_something_finite(name: str, fields: dict[str, Any]) -> None:
    one = offer(name)

    used = quantities(one, JsonRequest(fields))

    assert all(count >= 0 and Decimal(count).is_finite() for count in used.values())
    assert 0 <= one.price.charge_nusd(used) < MAX_BALANCE_NUSD / 1000


@given(
    name=st.sampled_from(FORMS),
    fields=st.dictionaries(NAMES, st.text(max_size=60)),
    files=st.dictionaries(st.sampled_from(["input_image_0", "input_image_9", "x"]), st.binary()),
)
def test_so_does_every_form(name: str, fields: dict[str, str], files: dict[str, bytes]) -> None:
    one = offer(name)
    parts = {key: ("f", content, "image/png") for key, content in files.items()}

    charged = one.price.charge_nusd(quantities(one, FormRequest(fields, parts)))

    assert 0 < charged < MAX_BALANCE_NUSD / 1000
