"""The project: settings, URLs, processes, and what every app may use."""

from agentflare.celery import app as celery_app

__all__ = ["celery_app"]
