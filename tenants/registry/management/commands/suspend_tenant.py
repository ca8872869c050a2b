from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug
from tenants.registry.services import suspend_tenant


class Command(BaseCommand):
    help = (
        "Refuse all calls of a tenant, within a second, in every process. Streams that run are "
        "ended or go on as SUSPENSION_ENDS_STREAMS says, unless you say otherwise here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--reason", required=True, help="the tenant reads it")
        parser.add_argument(
            "--end-streams",
            action=BooleanOptionalAction,
            default=None,
            help="end streams that run, each in an error that gives the reason",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        suspend_tenant(
            tenant=tenant,
            reason=options["reason"],
            actor="command",
            ends_streams=options["end_streams"],
        )
        self.stdout.write(f"Tenant {tenant.slug} is suspended.")
