from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.archive.files import ArchiveError
from billing.archive.services import archive_usage
from billing.archive.tasks import kept_since
from tenants.registry.models import Tenant
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = (
        "Move old usage records into compressed files below ARCHIVE_DIR, one for each tenant and "
        "month. Sums and ledger stay. Safe to repeat, and to kill."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help="whose; else all tenants'")
        parser.add_argument(
            "--before",
            metavar="DATE",
            help="calls that started before this day (UTC), as 2026-09-01; default: the months "
            "that ended before USAGE_RETENTION_DAYS",
        )
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be moved")

    def handle(self, *args: Any, **options: Any) -> None:
        before = day(options["before"]) if options["before"] else kept_since()
        if before is None:
            raise CommandError("USAGE_RETENTION_DAYS is 0, keep for ever: name a day with --before")
        slug, dry_run = options["tenant"], options["dry_run"]
        try:
            tenants = [tenant_by_slug(slug)] if slug else list(Tenant.objects.all())
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        records, faults = 0, 0
        for tenant in tenants:
            try:
                moved = archive_usage(tenant=tenant, before=before, dry_run=dry_run)
            except ArchiveError as exc:
                faults += 1
                self.stderr.write(f"{tenant.slug}: {exc}")
                continue
            for archived in moved:
                records += archived.records
                self.stdout.write(f"{tenant.slug}: {archived.records} records, {archived.file}")
        self.stdout.write(f"{records} records {'would be' if dry_run else 'were'} moved.")
        if faults:
            raise CommandError(f"{faults} tenants' usage could not be archived")


def day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(f"{text!r} is no day, such as 2026-09-01") from None
