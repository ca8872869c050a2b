"""Files for spreadsheets."""

# What begins a formula: OWASP's "CSV Injection", with the wide forms that Excel takes as well.
_BEGINS = tuple("=+-@\t\r\n＝＋－＠")


def cell(text: str) -> str:
    """As a cell: spreadsheets would run what begins like a formula, whoever has written it."""
    return f"'{text}" if text.startswith(_BEGINS) else text
