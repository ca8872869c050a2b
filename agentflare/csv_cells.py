"""Text in files that people open in a spreadsheet."""

# Excel takes the wide forms as well.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def plain_cell(text: str) -> str:
    """Spreadsheets would run what begins like a formula. Source: OWASP, CSV injection."""
    return f"'{text}" if text.startswith(_FORMULA) else text
