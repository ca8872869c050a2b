"""What the image models of Workers AI take, family by family, and how their pictures are priced.

Sources: Cloudflare's schemas of these models and its price page, read 2026-08-28, and published
bills (`notes` in the catalogue's data file).
"""

from dataclasses import dataclass
from enum import Enum

MAX_INPUT_IMAGES = 4
# Input images of FLUX.2 have to be smaller than 512 × 512.
MAX_INPUT_IMAGE_PX = 511
# OpenAI's own limit, for models that name none.
_MAX_PROMPT_CHARS = 32_000

Size = tuple[int, int]


class Takes(Enum):
    """Which pictures a model starts from."""

    NOTHING = "nothing"
    REFERENCES = "up to four images"
    MASKED = "an image and a mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of models.

    name: part of Cloudflare's ids. size: made where none is asked for. sides: the least and the
    most of width and height; None: the size cannot be chosen. steps: made where no number is
    asked for, at most max_steps; steps_field: None where it cannot be chosen. whole_tiles: parts
    of a tile are charged as a whole one. guidance: its range.
    """

    name: str
    size: Size
    sides: tuple[int, int] | None
    steps: int
    max_steps: int
    steps_field: str | None = "num_steps"
    whole_tiles: bool = True
    guidance: tuple[float, float] | None = None
    has_negative_prompt: bool = False
    takes: Takes = Takes.NOTHING
    max_prompt_chars: int = _MAX_PROMPT_CHARS

    @property
    def has_fixed_size(self) -> bool:
        return self.sides is None

    @property
    def sizes_in_words(self) -> str:
        """For a client: which sizes there are."""
        width, height = self.size
        if self.sides is None:
            return f"{width}x{height} only"
        least, most = self.sides
        return f"width and height from {least} to {most} each, and {width}x{height} by itself"


def _stable_diffusion(name: str, size: Size, takes: Takes = Takes.NOTHING) -> Family:
    return Family(
        name=name,
        size=size,
        sides=(256, 2048),
        steps=20,
        max_steps=20,
        guidance=(0, 30),
        has_negative_prompt=True,
        takes=takes,
    )


# The first whose name is part of a model's id.
FAMILIES = (
    Family(
        name="flux-1-schnell",
        size=(1024, 1024),
        sides=None,
        steps=4,
        max_steps=8,
        steps_field="steps",
        max_prompt_chars=2_048,
    ),
    Family(
        name="flux-2-klein",
        size=(1024, 768),
        sides=(256, 1920),
        steps=4,
        max_steps=4,
        steps_field=None,
        guidance=(0, 30),
        takes=Takes.REFERENCES,
    ),
    Family(
        name="flux-2",
        size=(1024, 768),
        sides=(256, 1920),
        steps=50,
        max_steps=50,
        steps_field="steps",
        guidance=(0, 30),
        takes=Takes.REFERENCES,
    ),
    Family(
        name="lucid-origin",
        size=(1120, 1120),
        sides=(1, 2500),
        steps=15,
        max_steps=40,
        # 1120 × 1120 was billed as 4.785 tiles.
        whole_tiles=False,
        guidance=(0, 10),
    ),
    # Never seen billed but for 1024 × 1024, and its answers tell no neurons: whole tiles are the
    # most that it can be.
    Family(
        name="phoenix",
        size=(1024, 1024),
        sides=(1, 2048),
        steps=25,
        max_steps=50,
        guidance=(2, 10),
        has_negative_prompt=True,
    ),
    _stable_diffusion("inpainting", (512, 512), Takes.MASKED),
    _stable_diffusion("stable-diffusion-xl", (1024, 1024)),
    _stable_diffusion("dreamshaper", (512, 512)),
)
# For a model that is new to us: nothing about it is refused here, and little is assumed.
UNKNOWN = Family(
    name="",
    size=(1024, 1024),
    sides=(64, 4096),
    steps=50,
    max_steps=100,
    guidance=(0, 100),
    has_negative_prompt=True,
)


def family_of(upstream_model: str) -> Family:
    """By Cloudflare's id of the model."""
    return next((family for family in FAMILIES if family.name in upstream_model), UNKNOWN)
