"""Names that people give, as others read them: on pages, and in the subjects of mails."""

from unicodedata import category

# Joiners are parts of letters in Persian and Hindi, and of many emoji.
_JOINERS = "\u200c\u200d"
# Control characters, signs that turn the direction of what comes after them, halves of characters.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def one_line(text: str) -> str:
    """Without line breaks, and with every run of white space as one space."""
    return " ".join(text.split())


def complaint_about_name(name: str) -> str:
    """Why people could not read it as it is; empty where they can, and where there is none."""
    if any(category(sign) in _HIDDEN and sign not in _JOINERS for sign in name):
        return "A name has no characters that cannot be seen, or that turn the others round."
    if name and not any(category(sign)[0] in "LNPS" for sign in name):
        return "Use letters, digits or signs that can be seen."
    return ""
