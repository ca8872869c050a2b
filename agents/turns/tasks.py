"""Celery's side of turns."""

from celery import shared_task

from agents.turns.healing import heal_all


@shared_task
def heal_turns_task() -> int:
    """Turns that their process has left."""
    return heal_all()
