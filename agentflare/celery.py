"""The Celery application. `celery -A agentflare worker` and `… beat`."""

import os
import sys

from celery import Celery
from celery.signals import worker_process_init

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


@worker_process_init.connect
def die_with_the_parent(**_: object) -> None:
    """A pool process whose parent was killed outright would wait for work for ever."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
