"""Addresses of workspaces: /t/<slug>/."""

import re
import unicodedata

MAX_LENGTH = 40
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
MIN_LENGTH_CHOSEN = 3

# What people would take for ours. The operator may give them away all the same.
_RESERVED = """
about account accounts admin administrator agentflare api app apps assets auth beta billing
blog cdn cloudflare console contact dashboard demo docs download email enterprise example
faq favicon ftp health help home imap info invoice invoices jobs legal login logout mail
mailbox me media metrics new news null official openai operator payments ping pop postmaster
press pricing privacy profile public quickstart register root sales sandbox search secure
security settings shop sign-in sign-up signin signup smtp staff static status store stripe
support system team terms test tests undefined upgrade user users webhook webhooks www
"""
RESERVED = frozenset(_RESERVED.split())


def propose_slug(name: str) -> str:
    """An address made from a name: "Zoë & Sons, Ltd." is zoe-sons-ltd. May be empty."""
    # Letters that are written with a mark lose it.
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:MAX_LENGTH].strip("-")


def complaint_about(slug: str) -> str:
    """Why somebody cannot choose it, whoever has what already; empty when they can."""
    if not SLUG.fullmatch(slug):
        return "Use small letters, digits and hyphens between them, 40 characters at most."
    if len(slug) < MIN_LENGTH_CHOSEN:
        return f"Use at least {MIN_LENGTH_CHOSEN} characters."
    if slug in RESERVED:
        return "This address is kept for ourselves. Choose another one."
    return ""
