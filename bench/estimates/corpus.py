"""Texts in many scripts, code and data, from the packages that are installed.

Django's translations are the only source of prose in dozens of scripts that any checkout has;
code is Python's and JavaScript's, data is JSON as packages ship it and lists of hashes.
Every source is cut into pieces (a message, a paragraph, a block of lines) that go to one of two
halves by their own hash: start values are made from TRAIN, figures are given for TEST.
"""

import json
import random
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("purelib"))

TRAIN, TEST = 0, 1


def words(text: str) -> list[str]:
    return text.split()


# Kind of text → the languages (Django's names) that stand for it.
LANGUAGES = {
    "latin": (words("de fr es pl cs tr vi fi hu pt_BR is lt ro az sw nl it id cy sk hr lv et ga")),
    "cyrillic": words("ru uk bg kk mn sr tg be mk ky"),
    "greek": ["el"],
    "arabic": words("ar fa ur ug ckb"),
    "hebrew": ["he"],
    "devanagari": words("hi ne mr"),
    "bengali": ["bn"],
    "gurmukhi": ["pa"],
    "tamil": ["ta"],
    "telugu": ["te"],
    "kannada": ["kn"],
    "malayalam": ["ml"],
    "thai": ["th"],
    "khmer": ["km"],
    "burmese": ["my"],
    "han": ["zh_Hans", "zh_Hant"],
    "kana": ["ja"],
    "hangul": ["ko"],
    "georgian": ["ka"],
    "armenian": ["hy"],
}
_CODE = words(
    "django/db/models/*.py django/contrib/admin/static/admin/js/*.js celery/app/*.py "
    "requests/*.py gevent/*.py django/contrib/admin/static/admin/css/*.css "
    "django/contrib/admin/templates/admin/*.html psycopg/*.py"
)
_PROSE = words("*.dist-info/METADATA *.dist-info/licenses/LICENSE* *.dist-info/licenses/docs/*.rst")
_IN_JSON = ["de", "ru", "ja", "ar", "hi", "sw"]
_MIXED = ["de", "tr", "ru", "ar", "hi", "th", "zh_Hans", "ja", "ko"]
_LOCALES = ("django/conf/locale", "django/contrib/*/locale", "allauth/locale")
_PIECES_PER_SOURCE_BYTES = 400_000
_EMOJI = "😀😂❤️👍🏽🎉🔥✨🙏💡🚀✅⚠️👨‍👩‍👧🇩🇪🇯🇵🌍📈🤖🧪☕️💰"


@dataclass(frozen=True)
class Source:
    """Texts of one language or form, and what joins its pieces to a longer one.

    kind: the script, or the form: what figures are given by.
    """

    name: str
    kind: str
    halves: tuple[tuple[str, ...], tuple[str, ...]]
    joint: str

    @property
    def is_ordinary(self) -> bool:
        """Prose, code and JSON: what the limit of 1.5 is promised for."""
        return self.kind not in {"hashes", "emoji", "numbers"}

    def sample(self, half: int, *, chars: int, random_: random.Random) -> str:
        """About so many characters, from a random place; shorter where there is no more."""
        pieces = self.halves[half]
        at = random_.randrange(len(pieces))
        found: list[str] = []
        length = 0
        for i in range(len(pieces)):
            piece = pieces[(at + i) % len(pieces)]
            found.append(piece)
            length += len(piece) + 1
            if length >= chars * 1.2:
                break
        text = self.joint.join(found)
        # Not always from the beginning of a piece: sentences, then words.
        start = random_.randrange(max(1, min(len(text) - chars, len(found[0]))))
        return text[start : start + chars].strip() or text[:chars]


@cache
def sources() -> dict[str, Source]:
    found = [as_source("english", "english", paragraphs(files(_PROSE)), "\n\n")]
    found += [
        as_source(name, kind, messages(name), " ")
        for kind, names in LANGUAGES.items()
        for name in names
    ]
    found += [
        as_source("code", "code", blocks(files(_CODE)), "\n"),
        as_source("json", "json", json_pieces(), "\n"),
        *(as_source(f"json {name}", "json", translated_json(name), "\n") for name in _IN_JSON),
        *(as_source(f"en+{name}", "mixed", mixed_pieces(name), "\n\n") for name in _MIXED),
        as_source("numbers", "numbers", number_pieces(), "\n"),
        as_source("hashes", "hashes", hash_pieces(), "\n"),
        as_source("emoji", "emoji", emoji_pieces(), "\n"),
    ]
    return {source.name: source for source in found}


def as_source(name: str, kind: str, pieces: Iterable[str], joint: str) -> Source:
    halves: tuple[list[str], list[str]] = ([], [])
    for piece in dict.fromkeys(pieces):
        halves[sha256(piece.encode()).digest()[0] & 1].append(piece)
    for half in halves:
        # In an order of their own, the same at every run.
        half.sort(key=lambda piece: sha256(piece.encode()).digest())
    return Source(name, kind, (tuple(halves[0]), tuple(halves[1])), joint)


def files(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        left = _PIECES_PER_SOURCE_BYTES
        for path in sorted(PACKAGES.glob(pattern)):
            if left <= 0:
                break
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            left -= len(text)
            yield text[:60_000]


def messages(language: str) -> Iterator[str]:
    """The translations of a language, without what only the template engine reads."""
    for path in sorted(
        path for place in _LOCALES for path in PACKAGES.glob(f"{place}/{language}/LC_MESSAGES/*.po")
    ):
        for found in re.finditer(r'^msgstr(?:\[\d\])? ((?:".*"\s*\n?)+)', path.read_text(), re.M):
            parts = re.findall(r'"(.*)"', found[1])
            text = "".join(parts).replace(r"\n", "\n").replace(r"\"", '"').strip()
            # Times, names of formats and the file's own header are no prose.
            if len(text) > 3 and "Plural-Forms" not in text and "charset=" not in text:
                yield text


def paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for piece in text.split("\n\n"):
            if len(piece) > 40 and sum(map(_is_plain, piece)) > 0.97 * len(piece):
                yield piece


def _is_plain(char: str) -> bool:
    return char.isalpha() or char in " \n,.'-()"


def blocks(texts: Iterable[str]) -> Iterator[str]:
    """Code in blocks of twenty lines."""
    for text in texts:
        lines = text.splitlines()
        for i in range(0, len(lines), 20):
            if len(piece := "\n".join(lines[i : i + 20])) > 40:
                yield piece


def json_pieces() -> Iterator[str]:
    """As packages ship it and as programs write it: indented, spaced and compact."""
    data = [json.loads(text) for text in files(["*.dist-info/**/*.json", "jsonschema*/**/*.json"])
            if len(text) < 60_000]  # fmt: skip
    data.append(json.loads((Path(__file__).parents[2] /
                            "inference/catalog/data/workers_ai.json").read_text()))  # fmt: skip
    for value in data:
        for part in parts_of(value):
            yield json.dumps(part, ensure_ascii=False, separators=(",", ":"))
            yield json.dumps(part, ensure_ascii=False)
            yield json.dumps(part, ensure_ascii=False, indent=2)


def translated_json(language: str) -> Iterator[str]:
    """Data in another language: a few messages in an object."""
    texts = list(messages(language))
    for i in range(0, len(texts), 3):
        row = {f"message_{i}": texts[i], "other": texts[i + 1 : i + 3], "id": i}
        yield json.dumps(row, ensure_ascii=False)


def mixed_pieces(language: str) -> Iterator[str]:
    """What is asked in English about a text in another language."""
    texts = list(messages(language))
    for i, paragraph in enumerate(paragraphs(files(_PROSE))):
        if 3 * i + 3 > len(texts):
            return
        yield paragraph + "\n" + " ".join(texts[3 * i : 3 * i + 3])


def parts_of(value: object) -> Iterator[object]:
    """Objects and lists of 60 to 1,500 characters, however deep."""
    size = len(json.dumps(value))
    if isinstance(value, dict | list) and 60 <= size <= 1_500:
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from parts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from parts_of(inner)


def number_pieces() -> Iterator[str]:
    """Tables: where vocabularies that take digits one by one need three times as many."""
    random_ = random.Random(1)
    for i in range(400):
        row = [f"{random_.uniform(-1000, 1000):.{random_.randrange(5)}f}" for _ in range(8)]
        yield f"{20200101 + i},{random_.randrange(10**9)}," + ",".join(row)


def hash_pieces() -> Iterator[str]:
    """base64 and hex, which are like no language at all."""
    for text in files(["*.dist-info/RECORD"]):
        for line in text.splitlines()[:60]:
            if found := re.search(r"sha256=(\S{43})", line):
                yield found[1]
                yield sha256(line.encode()).hexdigest()


def emoji_pieces() -> Iterator[str]:
    random_ = random.Random(2)
    for piece in paragraphs(files(["*.dist-info/METADATA"])):
        words = piece.split()[:12]
        for _ in range(3):
            words.insert(random_.randrange(len(words)), "".join(random_.choices(_EMOJI, k=2)))
        yield " ".join(words)
