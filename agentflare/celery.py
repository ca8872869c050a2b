"""The Celery application. `celery -A agentflare worker` and `… beat`."""

import os
import sys
import time
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)

from agentflare import logs, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentflare.settings")

app = Celery("agentflare")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "agents.turns",
        "billing.archive",
        "billing.business",
        "billing.closing",
        "billing.exports",
        "billing.payments",
        "billing.settlement",
        "billing.usage",
        "inference.catalog",
        "inference.images",
        "inference.reconciliation",
        "inference.tokens",
        "tenants.announcements",
        "tenants.keys",
        "tenants.users",
        "tenants.webhooks",
    ]
)


@setup_logging.connect
def log_as_the_web_does(**_: object) -> None:
    """settings.LOGGING, in place of Celery's own form."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)


@before_task_publish.connect
def tell_whose_it_is(headers: dict[str, object] | None = None, **_: object) -> None:
    """A task that a request causes carries its id."""
    if headers is None:
        return
    if request_id := logs.bound().get("request_id"):
        headers["agentflare_request_id"] = request_id
    if traceparent := tracing.traceparent():
        headers["agentflare_traceparent"] = traceparent


@task_prerun.connect
def log_whose_it_is(task_id: str = "", task: Any = None, **_: object) -> None:
    """Lines of a task have its name and id, and the id of the request that caused it."""
    facts = {"task": str(task.name), "task_id": task_id}
    if request_id := getattr(task.request, "agentflare_request_id", None):
        facts["request_id"] = str(request_id)
    logs.begin(**facts)


@task_prerun.connect
def note_its_start(task: Any = None, **_: object) -> None:
    task.request.agentflare_began = time.perf_counter()


@task_postrun.connect
def count_it(task: Any = None, state: str = "", **_: object) -> None:
    """For `/metrics`, by the task's name."""
    from agentflare.counters import count

    name = str(task.name).rpartition(".")[2]
    began = getattr(task.request, "agentflare_began", None)
    took_s = time.perf_counter() - began if began else 0.0
    failures = 0 if state == "SUCCESS" else 1
    count(
        ("task_runs_total", name, 1),
        ("task_failures_total", name, failures),
        ("task_seconds_total", name, took_s),
    )


@task_prerun.connect
def trace_it(task: Any = None, **_: object) -> None:
    """A task that a traced request caused is in its trace; those of the clock are in none."""
    if parent := getattr(task.request, "agentflare_traceparent", None):
        task.request.agentflare_span = tracing.begin(str(task.name), parent=str(parent))


@task_postrun.connect
def trace_its_end(task: Any = None, state: str = "", **_: object) -> None:
    span = getattr(task.request, "agentflare_span", None)
    tracing.end(span, status=200 if state == "SUCCESS" else 500)


@worker_process_shutdown.connect
def send_what_was_traced(**_: object) -> None:
    tracing.flush()


@worker_init.connect
@beat_init.connect
def start_on_its_own_release(**_: object) -> None:
    """Not while the database is of another one. Whoever keeps it running starts it again."""
    from tenants.registry.versions import why_not_to_start

    if why := why_not_to_start():
        sys.exit(f"Not started: {why}")


@worker_process_init.connect
def die_with_the_parent(**_: object) -> None:
    """A pool process whose parent was killed outright would wait for work for ever."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
