"""A product of a few lines: what the supervisor sees of the real one, and no more."""

from pathlib import Path

FILES = {
    # Commands write what they were asked into commands.txt, and in which process.
    "manage.py": """
import json, os, pathlib, secrets, sys, time
from urllib.parse import urlsplit
command, *rest = sys.argv[1:]
with open("commands.txt", "a") as commands:
    print(" ".join([command, *rest, str(os.getpid())]), file=commands)
for name in (
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CLOUDFLARE_BASE_URL",
    "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET",
):
    os.environ[name]
time.sleep(float(os.environ.get("FAKE_STEP_S", "0")))
if os.environ.get("FAKE_FAILING_STEP") == command:
    sys.exit("CommandError: this step fails")
if command == "create_api_key":
    key = "oi_" + secrets.token_hex(8)
    pathlib.Path("key.txt").write_text(key)
    print(json.dumps({"key": key}))
""",
    "agentflare/__init__.py": "from agentflare.celery import celery_app\n",
    "agentflare/celery.py": """
import os
from celery import Celery
celery_app = app = Celery("agentflare", broker=os.environ["REDIS_URL"])
app.conf.beat_schedule = {}
app.conf.broker_connection_retry_on_startup = True
""",
    "agentflare/gunicorn.py": """
import os
from gevent import monkey
monkey.patch_all()
workers = int(os.environ["WEB_CONCURRENCY"])
worker_class = "gevent"
graceful_timeout = int(os.environ["WEB_GRACEFUL_TIMEOUT_S"])
""",
    "agentflare/wsgi.py": """
import os, pathlib, time
if os.environ.get("FAKE_BROKEN_WEB"):
    raise RuntimeError("the product is broken")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    key = pathlib.Path("key.txt")
    given = environ.get("HTTP_AUTHORIZATION")
    if path == "/v1/models" and not (key.exists() and given == "Bearer " + key.read_text()):
        start_response("401 Unauthorized", [])
        return [b""]
    start_response("200 OK", [])
    return stream() if path == "/stream" else [b"ok"]
def stream():
    while True:
        yield b"tick\\n"
        time.sleep(0.1)
""",
    "sandbox/__init__.py": "",
    "sandbox/workers_ai/__init__.py": "",
    "sandbox/workers_ai/__main__.py": """
import http.server, json, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        missed = pathlib.Path("missed.txt")
        self.send_response(200)
        self.end_headers()
        names = missed.read_text().split() if missed.exists() else []
        self.wfile.write(json.dumps({"missed_models": names}).encode())
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
""",
    "sandbox/stripe/__init__.py": "",
    "sandbox/stripe/__main__.py": """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        told = {name: os.environ[name] for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")}
        self.wfile.write(json.dumps({"arguments": sys.argv[1:], "told": told}).encode())
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
""",
    "sandbox/mail/__init__.py": "",
    "sandbox/mail/__main__.py": "import signal\nsignal.pause()\n",
}


def write_fake_product(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    return folder


def commands(project: Path) -> list[str]:
    """The names of the manage.py commands that ran, in order."""
    return [line.split()[0] for line in (project / "commands.txt").read_text().splitlines()]


def processes(project: Path) -> list[str]:
    """The ids of those in which they ran, one for each command."""
    return [line.split()[-1] for line in (project / "commands.txt").read_text().splitlines()]
