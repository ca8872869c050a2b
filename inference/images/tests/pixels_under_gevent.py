"""Run by test_pixels.py: pictures worked on as in a web worker, all patched by gevent."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import gevent
from PIL import Image

from inference.images.pixels import as_reference, convert
from inference.images.tests.drawn import saved

longest_stop_s = 0.0


def beat() -> None:
    """Notes how long the loop stood still."""
    global longest_stop_s
    before = time.monotonic()
    while True:
        gevent.sleep(0.01)
        now = time.monotonic()
        longest_stop_s = max(longest_stop_s, now - before)
        before = now


large = saved(Image.effect_noise((2500, 2500), 90))
gevent.spawn(beat)
gevent.sleep(0.05)
longest_stop_s = 0.0
started = time.monotonic()
works = [gevent.spawn(convert, large, "webp", compression=80) for _ in range(4)]
works += [gevent.spawn(as_reference, large, "image/png") for _ in range(2)]
gevent.joinall(works, raise_error=True)

elapsed_s = time.monotonic() - started
assert elapsed_s > 0.3, "too little work to show anything"
assert longest_stop_s < elapsed_s / 3, (longest_stop_s, elapsed_s)
os._exit(0)
