from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from agentflare.redis_store import RedisDownError
from billing.backup.errors import BackupError
from billing.backup.tenant_export import export_tenant
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = (
        "One tenant as a file that `restore_tenant` takes: schema, people, payments, archived "
        "usage. For operators; what a tenant gets of its own is in its settings."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("file", type=Path, help="must not be there yet")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
            manifest = export_tenant(tenant, options["file"].absolute())
        except (TenantNotFoundError, BackupError) as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError as exc:
            raise CommandError(f"Redis does not answer: {exc}.") from None
        except OSError as exc:
            raise CommandError(f"{options['file']} cannot be written: {exc.strerror}.") from None
        (books,) = manifest.books
        self.stdout.write(
            f"Exported {tenant.slug} with {format_usd(manifest.credit_nusd)} of credit, "
            f"{books.entries} journal entries and {books.records} calls."
        )
        if not (tenant.is_suspended or tenant.closed):
            self.stdout.write("It is being served: what it does from now on is not in the file.")
