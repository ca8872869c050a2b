from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug
from tenants.registry.services import resume_tenant


class Command(BaseCommand):
    help = "Serve a suspended tenant again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        resume_tenant(tenant=tenant, actor="command")
        self.stdout.write(f"Tenant {tenant.slug} is served again.")
