"""The script of a character, by its code point: as coarse as tokens need it."""

from bisect import bisect_right

# First code point of each range → script; a range ends where the next begins.
_RANGES: tuple[tuple[int, str], ...] = (
    (0x0000, "latin"),
    # Beyond Western Europe: Polish, Czech, Turkish, …
    (0x0100, "latin_more"),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    # Letters that Russian, Ukrainian and Serbian do not have: Kazakh, Mongolian, Tajik, …
    (0x048A, "cyrillic_more"),
    (0x0530, "armenian"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    # Letters of Persian, Urdu, Kurdish, Uyghur, …
    (0x0671, "arabic_more"),
    (0x0780, "indic"),
    (0x0900, "devanagari"),
    (0x0980, "bengali"),
    (0x0A00, "indic"),
    (0x0B80, "tamil"),
    (0x0C00, "telugu"),
    (0x0C80, "kannada"),
    (0x0D00, "malayalam"),
    (0x0D80, "indic"),
    (0x0E00, "thai"),
    (0x0E80, "lao"),
    (0x0F00, "indic"),
    (0x1000, "burmese"),
    (0x10A0, "georgian"),
    (0x1100, "hangul"),
    (0x1200, "other"),
    (0x1780, "khmer"),
    (0x1800, "other"),
    (0x1C90, "georgian"),
    (0x1CC0, "other"),
    (0x1E00, "latin_more"),
    (0x1F00, "greek"),
    (0x2000, "symbols"),
    (0x2C60, "latin_more"),
    (0x2C80, "other"),
    (0x2E80, "han"),
    (0x3040, "kana"),
    (0x3100, "han"),
    (0x3130, "hangul"),
    (0x3190, "han"),
    (0x31F0, "kana"),
    (0x3200, "han"),
    (0xA000, "other"),
    (0xA720, "latin_more"),
    (0xA800, "other"),
    (0xAC00, "hangul"),
    (0xD800, "other"),
    (0xF900, "han"),
    (0xFB00, "other"),
    (0xFB1D, "hebrew"),
    (0xFB50, "arabic"),
    (0xFE00, "symbols"),
    (0xFE30, "han"),
    (0xFE70, "arabic"),
    (0xFF00, "han"),
    (0x10000, "other"),
    (0x1F000, "symbols"),
    (0x20000, "han"),
    (0x30000, "other"),
)
_STARTS = [start for start, _ in _RANGES]
_SCRIPTS_OF_RANGES = [script for _, script in _RANGES]
SCRIPTS = tuple(dict.fromkeys(_SCRIPTS_OF_RANGES))


def script_of(char: str) -> str:
    return _SCRIPTS_OF_RANGES[bisect_right(_STARTS, ord(char)) - 1]
