"""Work that must not stop the other requests of a gevent worker."""

from collections.abc import Callable
from typing import TypeVar

import gevent
from gevent.monkey import is_module_patched

Result = TypeVar("Result")


def off_loop(work: Callable[[], Result]) -> Result:
    """Run CPU-bound `work` in a real thread where a gevent loop would stand still, else here.

    Only worth it for code that lets go of the interpreter lock, as tiktoken's does.
    """
    if not is_module_patched("threading"):
        return work()
    result: Result = gevent.get_hub().threadpool.apply(work)
    return result
