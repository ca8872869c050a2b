"""Languages that Whisper knows: ISO 639-1 → the name that OpenAI's verbose_json has for it.

Source: openai/whisper, tokenizer.py. Two have no code of two letters.
"""

from agentflare.errors import InvalidRequestError

_TABLE = """
af afrikaans|am amharic|ar arabic|as assamese|az azerbaijani|ba bashkir|be belarusian|bg bulgarian
bn bengali|bo tibetan|br breton|bs bosnian|ca catalan|cs czech|cy welsh|da danish|de german
el greek|en english|es spanish|et estonian|eu basque|fa persian|fi finnish|fo faroese|fr french
gl galician|gu gujarati|ha hausa|haw hawaiian|he hebrew|hi hindi|hr croatian|ht haitian creole
hu hungarian|hy armenian|id indonesian|is icelandic|it italian|ja japanese|jw javanese|ka georgian
kk kazakh|km khmer|kn kannada|ko korean|la latin|lb luxembourgish|ln lingala|lo lao|lt lithuanian
lv latvian|mg malagasy|mi maori|mk macedonian|ml malayalam|mn mongolian|mr marathi|ms malay
mt maltese|my myanmar|ne nepali|nl dutch|nn nynorsk|no norwegian|oc occitan|pa punjabi|pl polish
ps pashto|pt portuguese|ro romanian|ru russian|sa sanskrit|sd sindhi|si sinhala|sk slovak
sl slovenian|sn shona|so somali|sq albanian|sr serbian|su sundanese|sv swedish|sw swahili|ta tamil
te telugu|tg tajik|th thai|tk turkmen|tl tagalog|tr turkish|tt tatar|uk ukrainian|ur urdu
uz uzbek|vi vietnamese|yi yiddish|yo yoruba|yue cantonese|zh chinese
"""
NAMES = {
    code: name
    for code, _, name in (
        entry.partition(" ") for line in _TABLE.split("\n") for entry in line.split("|") if entry
    )
}
# Codes of ISO 639-1 for what Whisper names otherwise.
_OTHER_CODES = {"jv": "jw", "nb": "no"}


def language_code(language: str) -> str:
    """As models take it. Raises InvalidRequestError, as OpenAI words it."""
    code = language.strip().lower()
    code = _OTHER_CODES.get(code, code)
    if code not in NAMES:
        raise InvalidRequestError(
            f"Invalid language '{language[:50]}'. Language parameter must be specified in "
            "ISO-639-1 format.",
            param="language",
            code="invalid_language_format",
        )
    return code


def language_name(code: str) -> str:
    """`en` and `en-US` are english. What nobody knows stays what it is."""
    short = code.strip().lower().replace("_", "-").partition("-")[0]
    return NAMES.get(_OTHER_CODES.get(short, short), code or "unknown")
