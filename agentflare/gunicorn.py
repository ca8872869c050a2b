"""gunicorn's configuration: `gunicorn agentflare.wsgi:application -c agentflare/gunicorn.py`."""

import gc
import os
import shutil
import socket
import tempfile
from typing import Any

from gevent import monkey

# Before anything else is imported: sockets, locks and threads become gevent's.
monkey.patch_all()

# Where the workers' metrics meet. Before prometheus_client is imported, which looks there then.
_metrics_folder = ""
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _metrics_folder = tempfile.mkdtemp(prefix="agentflare-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder

from gunicorn import glogging, util  # type: ignore[import-untyped]  # noqa: E402

from agentflare import logs, server_errors  # noqa: E402

util.write_error = server_errors.write_error

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 1)
worker_class = "gevent"
# The arbiter reads code and vocabularies once, and its workers have them by being forked: another
# one in the place of a killed one serves at once, and they share what memory none of them writes.
preload_app = True
# Streams are cheap: a thousand of them fit in one worker.
worker_connections = int(os.environ.get("WEB_WORKER_CONNECTIONS") or 4000)
backlog = 4096
keepalive = 75
timeout = 60
# How long running calls may take to end after SIGTERM.
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_TIMEOUT_S") or 30)
# Data URLs travel in the body; a header or a URL of this size is an attack.
limit_request_line = 4094
# gunicorn lets whoever comes from this machine, a proxy's clients with it, set these two of WSGI's
# variables by headers of their names: a path that the proxy refuses could be asked for so.
forwarder_headers = ""
# How long a client may leave what it asked for untaken, until its connection is ended.
UNREAD_TIMEOUT_S = int(os.environ.get("WEB_UNREAD_TIMEOUT_S") or 120)
accesslog = None
errorlog = "-"
loglevel = "warning"


class OurLogger(glogging.Logger):
    """gunicorn's own lines in the form of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter = logs.formatter()
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)


logger_class = OurLogger


def when_ready(server: Any) -> None:
    """Before the first worker is forked."""
    from inference.tokens.counting import warm_up

    end_unread_connections(server)
    warm_up()
    freeze()


def freeze() -> None:
    """What stands until the process ends need not be looked through again and again: a full
    collection over it holds up every stream for more than a tenth of a second, and writes to
    memory that is shared."""
    gc.collect()
    gc.freeze()


def end_unread_connections(server: Any) -> None:
    """A client that reads nothing would keep its place for ever: the kernel ends its connection.

    Connections have it from the socket that they are accepted on. Where bytes are taken, however
    slowly, the time begins anew.
    """
    timeout_ms = UNREAD_TIMEOUT_S * 1000
    for listener in server.LISTENERS:
        if listener.sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(
            socket, "TCP_USER_TIMEOUT"
        ):
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)


def post_worker_init(worker: Any) -> None:
    """What the first request would wait for otherwise: the catalogue."""
    from agentflare import pool_use
    from agents.sockets import open_sockets
    from inference.catalog.selectors import catalogue
    from tenants.registry import versions

    pool_use.watch.start()
    versions.look_if_possible()
    versions.watch.start()
    open_sockets.worker = worker
    try:
        catalogue()
    except Exception as exc:
        worker.log.warning("The catalogue cannot be read yet: %s", exc)
    freeze()
    # A call makes some two thousand objects, nearly all of which go with it by themselves: looked
    # through after each 700 new ones, as Python does, they are looked through several times.
    gc.set_threshold(10_000, 20, 20)


def child_exit(server: Any, worker: Any) -> None:
    """In the arbiter: gauges of a process that has ended are no more; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    if _metrics_folder:
        shutil.rmtree(_metrics_folder, ignore_errors=True)


def worker_exit(server: Any, worker: Any) -> None:
    """Calls that go on without their client: gunicorn waits only for those that have one."""
    from agents.turns import background
    from inference.idempotency import streams

    # Without its arbiter a worker leaves at once: it would keep the port from the next.
    if os.getppid() == worker.ppid:
        streams.wait_for_all(graceful_timeout)
        background.wait_for_all(graceful_timeout)
