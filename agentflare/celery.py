"""The Celery application. `celery -A agentflare worker` and `… beat`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    before_task_publish,
    setup_logging,
    task_prerun,
    worker_process_init,
)

from agentflare import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentflare.settings")

app = Celery("agentflare")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
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
    request_id = logs.bound().get("request_id")
    if headers is not None and request_id:
        headers["agentflare_request_id"] = request_id


@task_prerun.connect
def log_whose_it_is(task_id: str = "", task: Any = None, **_: object) -> None:
    """Lines of a task have its name and id, and the id of the request that caused it."""
    facts = {"task": str(task.name), "task_id": task_id}
    if request_id := getattr(task.request, "agentflare_request_id", None):
        facts["request_id"] = str(request_id)
    logs.begin(**facts)


@worker_process_init.connect
def die_with_the_parent(**_: object) -> None:
    """A pool process whose parent was killed outright would wait for work for ever."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
