"""What MCP servers have told of their tools, for a minute, in this process: most turns would ask
for what the turn before them has asked for. A call that fails makes it forgotten."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import orjson

# A server's URL, and the headers that it is asked with.
Key = tuple[str, tuple[tuple[str, str], ...]]
Listing = Sequence[dict[str, Any]]

KEPT_S = 60
_MOST, _MOST_BYTES = 500, 64 * 1024
_known: OrderedDict[Key, tuple[float, Listing]] = OrderedDict()


def remembered(key: Key) -> Listing | None:
    told_at, listing = _known.get(key, (0.0, None))
    return listing if time.monotonic() - told_at < KEPT_S else None


def remember(key: Key, listing: Listing) -> None:
    if len(orjson.dumps(listing)) > _MOST_BYTES:
        return
    _known[key] = (time.monotonic(), listing)
    _known.move_to_end(key)
    if len(_known) > _MOST:
        _known.popitem(last=False)


def forget(key: Key) -> None:
    _known.pop(key, None)
