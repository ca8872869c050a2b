"""Which kinds of token a text is made of, by o200k: script, and how much one token holds.

Vocabularies differ by script (Hindi may take twice the tokens), and within a script by what
o200k makes one token of: a word of ten letters or of two, three digits or one. So the tokens of
a text are counted by kind, and each kind has its own factor for each vocabulary. The kinds of
all 200,000 tokens are worked out once, in a tenth of a second, when the vocabulary loads.
"""

import tiktoken

from inference.tokens.scripts import SCRIPTS, script_of

# Kinds of tokens that are all ASCII. They come first: most texts have no others.
ASCII_KINDS = (
    "english",
    "word.1",  # to 2 letters
    "word.3",  # 3 to 5
    "word.6",  # 6 to 8
    "word.9",  # 9 and more
    "capitals",
    "digits.1",
    "digits.2",
    "digits.3",
    "signs.1",
    "signs.2",
    "mixed",
    "space",
    "indent",
)
# Words that English is full of and other languages in Latin letters are not. Vocabularies agree
# on English, and differ by up to a half on the others.
_ENGLISH_WORDS = (
    "the of and to that with you are this from have not be by or it which can will should would "
    "your what how if there their they our has were when please write following"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
# How many characters of the script a token has at least.
_SHAPES = (1, 2, 4)
# Parts of a character: o200k has no token for the whole of it.
PARTS = "parts.1", "parts.2"
KINDS: tuple[str, ...] = (
    *ASCII_KINDS,
    *PARTS,
    *(f"{script}.{shape}" for script in SCRIPTS for shape in _SHAPES),
)
# o200k's last numbers, which are special tokens or none.
_SPECIAL_NUMBERS = 21
INDEX = {kind: index for index, kind in enumerate(KINDS)}

# What a kind belongs to where scripts are told apart: margins, learned corrections, figures.
_GROUPS = {
    **dict.fromkeys(["english", "word", "capitals", "mixed", "latin_more"], "latin"),
    **dict.fromkeys(["digits", "signs", "space", "indent"], "code"),
    "cyrillic_more": "cyrillic",
    "arabic_more": "arabic",
    **dict.fromkeys(["parts", "lao", "indic"], "other"),
}
GROUP_OF_KIND: tuple[str, ...] = tuple(
    _GROUPS.get(name, name) for name in (kind.partition(".")[0] for kind in KINDS)
)
# Texts that are mostly Latin are told apart once more: see measures.
SCRIPTS_OF_TEXTS = ("english", *dict.fromkeys(GROUP_OF_KIND))


def kinds_by_token(encoding: tiktoken.Encoding) -> bytes:
    """For each token's number the index of its kind in KINDS."""
    tokens = encoding.decode_tokens_bytes(list(range(encoding.n_vocab - _SPECIAL_NUMBERS)))
    return bytes(map(INDEX.__getitem__, map(kind_of, tokens)))


def kind_of(token: bytes) -> str:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return PARTS[0] if len(token) == 1 else PARTS[1]
    if text.isascii():
        return kind_of_ascii(text)
    wide = [char for char in text if char > "\x7f"]
    script = max(map(script_of, wide), key=_rank)
    # In Latin the letters without accents count too; elsewhere they are spaces and signs.
    length = len(text.strip()) if script.startswith("latin") else len(wide)
    return f"{script}.{max(shape for shape in _SHAPES if shape <= max(1, length))}"


def kind_of_ascii(text: str) -> str:
    core = text.strip(" ")
    if core.isalpha():
        if core.lower() in _ENGLISH:
            return "english"
        if len(core) > 1 and core.isupper():
            return "capitals"
        return next(f"word.{least}" for least in (9, 6, 3, 1) if len(core) >= least)
    if core.isdigit():
        return f"digits.{min(3, len(core))}"
    if not text.strip():
        return "space" if len(text) == 1 else "indent"
    if any(map(str.isalnum, core)):
        return "mixed"
    return "signs.1" if len(core) == 1 else "signs.2"


def _rank(script: str) -> tuple[bool, str]:
    """One rare letter tells more of a token than the common ones beside it."""
    return script.endswith("_more"), script
