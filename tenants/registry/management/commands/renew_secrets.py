from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from agentflare.secrets import Renewal
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema


class Command(BaseCommand):
    help = (
        "Encrypt under SECRET_KEY what is still under one of SECRET_KEY_FALLBACKS, which may then "
        "be forgotten. Repeat at will."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        renewal = Renewal()
        for name in settings.SHARED_SECRETS:
            import_string(name)(renewal)
        for tenant in Tenant.objects.order_by("pk"):
            with tenant_schema(tenant.code):
                for name in settings.TENANT_SECRETS:
                    import_string(name)(renewal)
        self.stdout.write(f"{renewal.renewed} renewed, {renewal.current} were under SECRET_KEY.")
        if renewal.unreadable:
            raise CommandError(
                f"{renewal.unreadable} are under a key that is in neither variable, and stay as "
                "they are."
            )
