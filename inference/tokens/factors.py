"""Start values: how a vocabulary's tokens compare to o200k's, before any call was settled.

`data/factors.json` is measured, by `python -m bench estimates --fit`, on one half of a corpus
in 26 scripts and forms, with each vocabulary itself; production needs none of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from inference.tokens.kinds import GROUP_OF_KIND, KINDS

DATA_FILE = Path(__file__).parent / "data" / "factors.json"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a chat template adds: tokens for the prompt, and for each message.

    with_system: for a prompt with a system message, which replaces a family's own.
    """

    preamble: float
    with_system: float
    message: float


@dataclass(frozen=True, slots=True)
class Tools:
    """What tools add: rules around them, and tokens for each token of them as compact JSON."""

    preamble: float
    factor: float


@dataclass(frozen=True, slots=True)
class Profile:
    """By kind of token: how many a vocabulary takes for one of o200k's, and how surely.

    wander: how far off a whole text may be, for each token. noise: what a short text may be
    off, squared, for each token.
    """

    mean: tuple[float, ...]
    wander: tuple[float, ...]
    noise: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """special: for English and for code, on which all vocabularies agree. general: for the
    rest, where words in ASCII are another language's."""

    general: Profile
    special: Mapping[str, Profile]

    def profile(self, script: str) -> Profile:
        return self.special.get(script, self.general)


@dataclass(frozen=True, slots=True)
class Template:
    """What a family's chat template adds, likely and at most."""

    likely: Overhead
    most: Overhead
    likely_tools: Tools
    most_tools: Tools


@dataclass(frozen=True, slots=True)
class Factors:
    """A model's start values."""

    vocabulary: Vocabulary
    template: Template


# The first fragment that is in an AI model's name decides: its vocabulary and its template, by
# their names in the file. None: as the catalogue says.
_FAMILIES: tuple[tuple[str, str | None, str], ...] = (
    ("gpt-oss", None, "harmony"),
    ("llama-4", None, "llama4"),
    ("llama-3", None, "llama3"),
    ("llama-2", "llama2", "llama2"),
    ("deepseek-r1", None, "deepseek"),
    ("deepseek", None, "deepseek"),
    ("qwen-2", None, "qwen2.5"),
    ("qwen-1", None, "qwen2.5"),
    ("qwen", None, "qwen3"),
    ("qwq", None, "qwen3"),
    ("glm", None, "glm"),
    ("kimi", None, "kimi"),
    ("mistral-small", None, "mistral"),
    ("mistral-7b", "mistral_v1", "llama2"),
    ("sea-lion-v4", "gemma3", "gemma"),
    ("gemma-4", "gemma4", "gemma"),
    ("gemma-3", "gemma3", "gemma"),
    ("gemma-2b", "gemma2", "gemma"),
    ("gemma-7b", "gemma2", "gemma"),
    ("gemma", None, "gemma"),
    # Both were made with Mistral's vocabulary, and have templates of their own.
    ("apertus", "mistral", "unknown"),
    ("nemotron-3", "mistral", "unknown"),
)


@cache
def factors_of(model: str, vocabulary: str) -> Factors:
    """model: the AI model's name. vocabulary: as the catalogue has it."""
    found = (family for family in _FAMILIES if family[0] in model)
    _, own, template = next(found, ("", None, UNKNOWN))
    file = read_file()
    rows = file["vocabularies"]
    return Factors(
        as_vocabulary(rows.get(own or vocabulary) or rows[UNKNOWN]),
        as_template(file["templates"][template]),
    )


def read_file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DATA_FILE.read_text())
    return found


@cache
def basis() -> str:
    """Names these start values: what was learned against others says nothing of them."""
    return sha256(DATA_FILE.read_bytes()).hexdigest()[:8]


def as_template(row: dict[str, Any]) -> Template:
    return Template(
        likely=Overhead(**row["likely"]),
        most=Overhead(**row["most"]),
        likely_tools=Tools(**row["likely_tools"]),
        most_tools=Tools(**row["most_tools"]),
    )


def as_vocabulary(row: dict[str, Any]) -> Vocabulary:
    special = {}
    for script in ("english", "code"):
        # Other scripts inside an English text are what they are elsewhere.
        margins = dict.fromkeys(["latin", "code"], row["margins"][script])
        means = row["mean"] | row["mean_english"]
        special[script] = as_profile(means, row["margins"] | margins)
    return Vocabulary(general=as_profile(row["mean"], row["margins"]), special=special)


def as_profile(means: dict[str, float], margins: dict[str, dict[str, float]]) -> Profile:
    groups = zip(KINDS, GROUP_OF_KIND, strict=True)
    pairs = [(means[kind], margins[group]) for kind, group in groups]
    return Profile(
        mean=tuple(mean for mean, _ in pairs),
        wander=tuple(mean * margin["wander"] for mean, margin in pairs),
        noise=tuple(mean * margin["noise"] ** 2 for mean, margin in pairs),
    )
