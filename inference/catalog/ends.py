"""What an answer tells of the end of its AI model: RFC 9745's Deprecation, RFC 8594's Sunset."""

from calendar import timegm
from email.utils import formatdate
from urllib.parse import quote

from inference.catalog.selectors import Offer


def sunset_headers(offer: Offer) -> dict[str, str]:
    """None for a model that stays."""
    if offer.deprecated_at is None:
        return {}
    headers = {"Deprecation": f"@{offer.deprecated_at}"}
    if offer.ends_on:
        headers["Sunset"] = formatdate(timegm(offer.ends_on.timetuple()), usegmt=True)
    if offer.successor:
        headers["Link"] = f'</v1/models/{quote(offer.successor)}>; rel="successor-version"'
    return headers
