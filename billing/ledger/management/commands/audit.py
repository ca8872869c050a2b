from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import invariants
from tenants.registry.models import Tenant


class Command(BaseCommand):
    help = "Check every rule of money over all tenants. Read-only; exit status 1 if one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            metavar="DATE",
            type=datetime.fromisoformat,
            help="do not look again at records booked before this day (UTC), as 2026-09-01: for "
            "frequent runs at size",
        )
        parser.add_argument(
            "--archives", action="store_true", help="read the files of archived records, too"
        )
        parser.add_argument("--quiet", action="store_true", help="print violations only")

    def handle(self, *args: Any, **options: Any) -> None:
        violations = 0
        since = options["since"].replace(tzinfo=UTC) if options["since"] else None
        for violation in invariants.check_all(since=since, reads_archives=options["archives"]):
            violations += 1
            self.stdout.write(violation)
        if violations:
            raise CommandError(f"{violations} rules are broken")
        if not options["quiet"]:
            self.stdout.write(f"Clean: {Tenant.objects.count()} tenants, no rule is broken.")
