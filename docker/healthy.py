#!/usr/bin/env python3
"""Exit status 0 where the web process of this container can serve calls."""

import os
import sys
import urllib.request

port = os.environ.get("PORT") or "8000"
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
        sys.exit(answer.status != 200)
except OSError as exc:
    sys.exit(f"It cannot be asked: {exc}")
