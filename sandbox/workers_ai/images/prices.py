"""Neurons of a picture. Each family counts in its own way, so the units differ too."""

from decimal import Decimal

from sandbox.workers_ai.catalogue import Model

TILE_PX = 512 * 512
MEGAPIXEL = 1024 * 1024

Size = tuple[int, int]
Quantities = dict[str, Decimal | int]


def quantities(model: Model, size: Size, steps: int, inputs: list[Size]) -> Quantities:
    """How much of each priced unit a picture is.

    A tile is 512 x 512. Flux 2 counts whole tiles by area, lucid and the others parts of them
    (whether the others do is not known off 1024 x 1024, where it makes no difference).
    """
    rates = model.neurons_per_unit
    if "output_tile_512_step" in rates:
        return {
            "output_tile_512_step": whole_tiles(size) * steps,
            "input_tile_512_step": sum(map(whole_tiles, inputs)) * steps,
        }
    if "first_megapixel" in rates:
        megapixels = whole(size, MEGAPIXEL)
        return {
            "first_megapixel": 1,
            "subsequent_megapixel": megapixels - 1,
            "input_image_megapixel": sum(whole(image, MEGAPIXEL) for image in inputs),
        }
    if "step" in rates:
        # The price of a step is for each tile.
        tiles = Decimal(area(size)) / TILE_PX
        return {"output_tile_512": tiles, "step": tiles * steps}
    return {
        "output_tile_512": whole_tiles(size),
        "input_tile_512": sum(map(whole_tiles, inputs)),
    }


def area(size: Size) -> int:
    return size[0] * size[1]


def whole(size: Size, unit: int) -> int:
    """How many units cover the area, by area alone."""
    return -(-area(size) // unit)


def whole_tiles(size: Size) -> int:
    return whole(size, TILE_PX)
