"""Exports, one after the other."""

from celery import shared_task

from billing.exports.services import look_after, make_export

_LIMIT_S = 6 * 3600


# Acknowledged at its start: it may take longer than a task that was taken may.
@shared_task(acks_late=False, time_limit=_LIMIT_S)
def make_export_task(export_id: int) -> bool:
    """Safe to run twice."""
    return make_export(export_id)


@shared_task
def look_after_exports_task() -> int:
    """Returns how many are started, or started again."""
    waiting = look_after()
    for export_id in waiting:
        make_export_task.delay(export_id)
    return len(waiting)
