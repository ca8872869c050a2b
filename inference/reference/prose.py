"""The little of Markdown that the document's texts use, as HTML."""

import re

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_CODE = re.compile(r"`([^`]+)`")


def inline(text: str) -> SafeString:
    """Escaped, with `code`."""
    return mark_safe(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S308  # escaped


def paragraphs(text: str) -> SafeString:
    parts = (f"<p>{inline(part)}</p>" for part in text.split("\n\n") if part.strip())
    return mark_safe("".join(parts))  # noqa: S308  # escaped by inline
