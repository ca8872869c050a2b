"""Celery's side of the catalogue."""

from celery import shared_task

from inference.catalog.comparing import compare
from inference.catalog.notices import send_notices
from inference.catalog.price_notices import send_price_notices


@shared_task
def send_notices_task() -> int:
    """Those that are owed: of the operator's page, and what a killed process has left."""
    return send_notices() + send_price_notices()


@shared_task
def compare_task() -> str:
    """Each night. Returns why it could not, or nothing."""
    return compare().error
