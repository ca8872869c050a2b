from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import invariants
from tenants.registry.models import Tenant


class Command(BaseCommand):
    help = "Check every rule of money over all tenants. Read-only; exit status 1 if one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="print violations only")

    def handle(self, *args: Any, **options: Any) -> None:
        violations = 0
        for violation in invariants.check_all():
            violations += 1
            self.stdout.write(violation)
        if violations:
            raise CommandError(f"{violations} rules are broken")
        if not options["quiet"]:
            self.stdout.write(f"Clean: {Tenant.objects.count()} tenants, no rule is broken.")
