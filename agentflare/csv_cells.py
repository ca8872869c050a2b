"""Text in files that people open in a spreadsheet."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(text: str) -> str:
    """Spreadsheets would run what begins like a formula. Source: OWASP, CSV injection."""
    return f"'{text}" if text.startswith(_FORMULA) else text
