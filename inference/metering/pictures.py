"""The units of one picture, by what its call asks for.

    tiles of 512 × 512 × (neurons a tile + steps × neurons a step)

A step is priced for each tile. Which units count is told by the AI model's price; how sizes are
rounded, by its family. Where no bill has shown that, the most it can be is taken. So is the most
that a field can mean where it makes no sense: the same figures are held before the call.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from billing.prices.models import Unit
from inference.catalog.selectors import Offer
from inference.images.families import MAX_INPUT_IMAGE_PX, Family, Size, family_of
from inference.images.sizes import size_of
from inference.metering.measured import Quantities
from inference.upstreams.requests import FormRequest, JsonRequest, UpstreamRequest

UNITS = frozenset(
    {
        Unit.STEP,
        Unit.OUTPUT_TILE,
        Unit.INPUT_TILE,
        Unit.OUTPUT_TILE_STEP,
        Unit.INPUT_TILE_STEP,
        Unit.FIRST_MEGAPIXEL,
        Unit.SUBSEQUENT_MEGAPIXEL,
        Unit.INPUT_MEGAPIXEL,
    }
)
_TILE_AREA = 512 * 512
_MEGAPIXEL_AREA = 1024 * 1024
# No model makes more, whatever a call asks for.
_MOST_PX = 4_096
_MOST_STEPS = 200
_INPUT_IMAGE = "input_image"
_NUMBER_CHARS = 40


def quantities(offer: Offer, request: UpstreamRequest) -> Quantities:
    """What the picture that `request` asks for counts; {} for prices without such units."""
    units = UNITS.intersection(offer.price.rates)
    if not units:
        return {}
    family = family_of(offer.upstream_model)
    fields = _fields_of(request)
    size = _size(family, fields)
    steps = _steps(family, fields)
    inputs = _input_sizes(request)
    tiles = _tiles(size, whole=family.whole_tiles)
    input_tiles = sum(_whole(image, _TILE_AREA) for image in inputs)
    megapixels = _whole(size, _MEGAPIXEL_AREA)
    found: Quantities = {
        Unit.OUTPUT_TILE: tiles,
        # With no tile in the price, a step is one of the whole picture.
        Unit.STEP: tiles * steps if Unit.OUTPUT_TILE in units else steps,
        Unit.INPUT_TILE: input_tiles,
        Unit.OUTPUT_TILE_STEP: tiles * steps,
        Unit.INPUT_TILE_STEP: input_tiles * steps,
        Unit.FIRST_MEGAPIXEL: 1,
        Unit.SUBSEQUENT_MEGAPIXEL: megapixels - 1,
        Unit.INPUT_MEGAPIXEL: sum(_whole(image, _MEGAPIXEL_AREA) for image in inputs),
    }
    return {unit: count for unit, count in found.items() if unit in units}


# --- areas --------------------------------------------------------------------------


def _tiles(size: Size, *, whole: bool) -> int | Decimal:
    """A part of a tile is exact in decimals: a tile's area is a power of two."""
    return _whole(size, _TILE_AREA) if whole else Decimal(size[0] * size[1]) / _TILE_AREA


def _whole(size: Size, area: int) -> int:
    """How many areas cover the picture's, whatever its form: 1280 × 720 are four tiles."""
    return -(-size[0] * size[1] // area)


# --- what a call asks for -----------------------------------------------------------


def _fields_of(request: UpstreamRequest) -> Mapping[str, Any]:
    match request:
        case JsonRequest():
            return request.body
        case FormRequest():
            return request.fields
    return {}


def _size(family: Family, fields: Mapping[str, Any]) -> Size:
    if family.has_fixed_size:
        return family.size
    width, height = family.size
    return (
        _whole_number(fields.get("width"), default=width, most=_MOST_PX),
        _whole_number(fields.get("height"), default=height, most=_MOST_PX),
    )


def _steps(family: Family, fields: Mapping[str, Any]) -> int:
    """Models know them by either name; with both in a call the larger one counts."""
    if family.steps_field is None:
        return family.steps
    asked = [fields[name] for name in ("steps", "num_steps") if fields.get(name) is not None]
    return max(
        (_whole_number(value, default=family.steps, most=_MOST_STEPS) for value in asked),
        default=family.steps,
    )


def _whole_number(value: Any, *, default: int, most: int) -> int:
    """A number of something, also as text, as forms have it. Upstream refuses what is none, or
    takes its default: so does this."""
    number = _number(value)
    if number is None or number <= 0:
        return default
    return int(min(number, Decimal(most)).to_integral_value(rounding=ROUND_CEILING))


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, int):
        # Text of a very long integer is more than Python likes to make.
        return Decimal(value)
    text = str(value).strip()
    if len(text) > _NUMBER_CHARS:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _input_sizes(request: UpstreamRequest) -> list[Size]:
    """Of the images to start from. One that cannot be read counts as the largest there may be."""
    if not isinstance(request, FormRequest):
        return [_largest() for _ in _input_names(_fields_of(request))]
    in_files = [_input_size(request.files[name][1]) for name in _input_names(request.files)]
    return [*in_files, *(_largest() for _ in _input_names(request.fields))]


def _input_size(content: bytes) -> Size:
    size = size_of(content)
    return (min(size[0], _MOST_PX), min(size[1], _MOST_PX)) if size else _largest()


def _input_names(names: Iterable[str]) -> list[str]:
    return [name for name in names if str(name).startswith(_INPUT_IMAGE)]


def _largest() -> Size:
    return MAX_INPUT_IMAGE_PX, MAX_INPUT_IMAGE_PX
