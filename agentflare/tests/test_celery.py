"""What beat sends, the worker knows."""

from django.conf import settings

from agentflare.celery import app


def test_every_task_of_the_schedule_is_registered() -> None:
    app.loader.import_default_modules()

    wanted = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert wanted <= set(app.tasks)
