"""Where a request comes from, as far as it can be believed."""

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str | None:
    """The client's address; None where it cannot be told (a unix socket, nonsense).

    Behind settings.TRUSTED_PROXIES proxies the last so many entries of X-Forwarded-For are
    theirs, each naming whom it heard from; what stands before is the client's own claim.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        heard = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(heard) < settings.TRUSTED_PROXIES:
            return None
        address = heard[-settings.TRUSTED_PROXIES].strip()
    return _read(address)


@lru_cache(maxsize=4096)
def _read(address: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
