"""Celery's side of kept pictures."""

from celery import shared_task

from inference.images import services


@shared_task
def delete_expired_images_task() -> int:
    """Delete pictures whose hour is over. Returns how many."""
    return services.delete_expired()
