"""Whose voice is meant: OpenAI's names, and each model's own.

Sources: Cloudflare's pages of the Aura models, for their speakers; of MeloTTS, for its languages.
An OpenAI name leads to a voice that is somewhat like it; the same name is always the same voice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentflare.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Voices:
    """own: the model's names. openai: OpenAI's name → one of them."""

    own: tuple[str, ...]
    openai: Mapping[str, str]

    def find(self, name: str, *, model: str) -> str:
        """Raises InvalidRequestError, which lists the voices there are."""
        wanted = name.strip().lower()
        if wanted in self.own:
            return wanted
        # Deepgram's long form: aura-2-thalia-en.
        parts = wanted.split("-")
        if wanted.startswith("aura-") and (short := next((p for p in parts if p in self.own), "")):
            return short
        if found := self.openai.get(wanted):
            return found
        raise InvalidRequestError(
            f"The model `{model}` has no voice '{name[:50]}'. It has {', '.join(self.own)}; "
            f"and OpenAI's names {', '.join(self.openai)} stand for some of them.",
            param="voice",
            code="invalid_value",
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


AURA_1 = Voices(
    own=_words("angus asteria arcas orion orpheus athena luna zeus perseus helios hera stella"),
    openai=_pairs(
        "alloy=asteria ash=arcas ballad=perseus coral=luna echo=orion fable=helios onyx=zeus "
        "nova=stella sage=athena shimmer=hera verse=orpheus marin=luna cedar=angus"
    ),
)
AURA_2_EN = Voices(
    own=_words(
        "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia "
        "delia draco electra harmonia helena hera hermes hyperion iris janus juno jupiter luna "
        "mars minerva neptune odysseus ophelia orion orpheus pandora phoebe pluto saturn selene "
        "thalia theia vesta zeus"
    ),
    openai=_pairs(
        "alloy=thalia ash=apollo ballad=hyperion coral=aurora echo=orion fable=draco onyx=zeus "
        "nova=andromeda sage=athena shimmer=luna verse=orpheus marin=helena cedar=arcas"
    ),
)
AURA_2_ES = Voices(
    own=_words("sirio nestor carina celeste alvaro diana aquila selena estrella javier"),
    openai=_pairs(
        "alloy=celeste ash=nestor ballad=alvaro coral=estrella echo=aquila fable=javier "
        "onyx=sirio nova=diana sage=carina shimmer=selena verse=alvaro marin=selena cedar=nestor"
    ),
)
# Its voices are its languages; it has one in each.
MELOTTS = Voices(
    own=_words("en es fr zh jp kr"),
    openai=dict.fromkeys(
        _words("alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar"), "en"
    ),
)
