"""What must not be read in an upstream's words: they reach clients where the input was at fault."""

import re

from inference.upstreams.accounts import Account

HIDDEN = "[…]"
_STACK_TRACE = re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL)
_PRIVATE = re.compile(
    r"""
      \bbearer\s+[^\s"',]+
    | \b[a-z][a-z0-9+.-]{1,9}://[^\s"'<>)\],]+                   # an address
    | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b           # an id of a request
    | \b[0-9a-f]{24,}\b                                         # an account's
    | \b(?:\d{1,3}\.){3}\d{1,3}\b(?::\d+)?                      # a machine
    | \[[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,}\](?::\d+)?
    | \blocalhost:\d+
    | \b(?:[a-z0-9-]+\.)+
      (?:internal|local|localdomain|lan|corp|svc|cluster|cloudflare\.com|workers\.dev)
      \b(?:\.[a-z0-9-]+)*(?::\d+)?
    | (?-i:(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{32,}(?![\w-]))  # a token
    | (?<![\w./])/(?:app|data|etc|home|mnt|opt|root|srv|tmp|usr|var|workspace)/[^\s"':,)]+
    """,
    re.IGNORECASE | re.VERBOSE,
)


def without_secrets(text: str, account: Account) -> str:
    """A text of upstream's without the names of accounts, tokens, requests and machines."""
    for secret in (account.api_token, account.account_id, account.gateway_id):
        if secret:
            text = text.replace(secret, HIDDEN)
    return _PRIVATE.sub(HIDDEN, _STACK_TRACE.sub("", text))
