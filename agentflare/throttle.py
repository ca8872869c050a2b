"""How often somebody may do something in a while, for what has no rows to count."""

import time

from django.core.cache import cache


def allows(what: str, who: str, *, most: int, in_s: int, times: int = 1) -> bool:
    """Count that it is done, and tell whether that is within the limit.

    what: names the deed, and who: whoever does it. Windows follow one another, so around the
    border of two of them twice as much gets through. Raises Redis' errors.
    """
    key = f"throttle:{what}:{who}:{int(time.time() // in_s)}"
    cache.add(key, 0, 2 * in_s)
    return int(cache.incr(key, times)) <= most
