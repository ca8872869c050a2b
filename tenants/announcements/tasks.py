from celery import shared_task

from tenants.announcements import maintenance


@shared_task
def publish_maintenance_task() -> None:
    """Each minute: Redis may have lost it."""
    maintenance.publish()
