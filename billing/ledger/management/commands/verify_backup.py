from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from billing.backup.checking import verify_backup
from billing.backup.errors import BackupError


class Command(BaseCommand):
    help = "Read a backup to its end: exit status 1 unless it is as it was written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest = verify_backup(options["folder"])
        except BackupError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(
            f"Whole: {len(manifest.parts)} files, {len(manifest.books)} tenants with "
            f"{format_usd(manifest.credit_nusd)} of credit, of {manifest.made_at}."
        )
        if not manifest.has_our_secret_key():
            self.stdout.write("It was made under another SECRET_KEY than the one here.")
