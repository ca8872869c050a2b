"""What to call a browser, out of its User-Agent header."""

from django import template

register = template.Library()

# The first that is found: the names of others stand in most of them, too.
_BROWSERS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Chromium/": "Chromium",
    "Safari/": "Safari",
    "curl/": "curl",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@register.filter
def browser(user_agent: str) -> str:
    """ "Firefox on Linux"; the header itself where nothing in it is known."""
    names = [name for mark, name in _BROWSERS.items() if mark in user_agent][:1]
    systems = [name for mark, name in _SYSTEMS.items() if mark in user_agent][:1]
    return " on ".join(names + systems) or user_agent[:60] or "Unknown browser"
