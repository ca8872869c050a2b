"""Celery's side of learning."""

from celery import shared_task

from inference.tokens import services


@shared_task
def learn_task() -> int:
    """Correct estimates by what settled calls have shown. Returns how many calls."""
    return services.learn()
