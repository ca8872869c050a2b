"""Run by test_remote.py: fetching as in a web worker, all patched by gevent."""

# ruff: noqa: E402, I001
from gevent import monkey

monkey.patch_all()

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
os.environ["DJANGO_SETTINGS_MODULE"] = "agentflare.settings"
os.environ["REMOTE_IMAGE_ALLOWED_NETWORKS"] = "127.0.0.0/8"

import gevent
import django

django.setup()

from django.conf import settings

from agentflare.errors import InvalidRequestError
from agentflare.outside import resolve
from inference.images.remote import fetch_image, fetch_images
from inference.images.tests.server import PNG, Server

settings.REMOTE_IMAGE_TIMEOUT_S = 0.6
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


def refusal(url: str) -> str:
    try:
        fetch_image(url, param="p")
    except InvalidRequestError as exc:
        return exc.message
    raise AssertionError("not refused")


server = Server()


def silent(connection: object) -> None:
    time.sleep(5)


server.pages["/silent"] = silent
fetch_image(server.url(host="localhost"), param="p")
gevent.spawn(beat)

images = fetch_images([(server.url(host="localhost"), "p")] * 8)
assert [image.content for image in images] == [PNG] * 8

started = time.monotonic()
assert "took too long" in refusal(server.url("/silent"))
assert "took too long" in refusal(server.url("/silent").replace("http:", "https:"))
assert time.monotonic() - started < 2

# Names whose servers never answer: they take all threads for images, and nothing else's.
really_sleep = monkey.get_original("time", "sleep")
resolve.get_original = lambda module, name: lambda *args, **kwargs: really_sleep(2)  # type: ignore[assignment]
lost = [gevent.spawn(refusal, f"http://name-{number}.test/") for number in range(20)]
gevent.sleep(0.1)
started = time.monotonic()
assert gevent.get_hub().threadpool.apply(lambda: 5) == 5
assert time.monotonic() - started < 0.3
gevent.joinall(lost, timeout=3)
assert all("took too long" in each.value for each in lost), [each.value for each in lost]

assert longest_stop_s < 0.3, longest_stop_s
os._exit(0)
