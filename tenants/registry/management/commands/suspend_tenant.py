from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug
from tenants.registry.services import suspend_tenant


class Command(BaseCommand):
    help = "Refuse all calls of a tenant, within a second, in every process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--reason", required=True, help="the tenant reads it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        suspend_tenant(tenant=tenant, reason=options["reason"], actor="command")
        self.stdout.write(f"Tenant {tenant.slug} is suspended.")
