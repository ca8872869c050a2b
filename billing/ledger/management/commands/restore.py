from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from billing.backup.errors import BackupError
from billing.backup.restoring import restore_backup


class Command(BaseCommand):
    help = (
        "Put a backup into an empty database, make the gate from the ledger, book what was not "
        "booked, and audit. Nothing may be served meanwhile. Interrupted, it is repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--jobs", type=int, default=2, help="dumps at once (2)")
        parser.add_argument(
            "--other-secret-key",
            action="store_true",
            help="go on though SECRET_KEY is another one: what is encrypted is lost",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jobs"] < 1:
            raise CommandError("--jobs is 1 or more.")
        try:
            restored = restore_backup(
                options["folder"].absolute(),
                jobs=options["jobs"],
                takes_other_key=options["other_secret_key"],
                tell=self.stdout.write,
            )
        except BackupError as exc:
            raise CommandError(str(exc)) from None
        calls = restored.calls
        self.stdout.write(
            f"Calls: {calls.captured} had ended, {calls.running} ran and are charged for their "
            f"progress, {calls.unreadable} cannot be read; {restored.settled} events are booked."
        )
        call_command("audit", archives=restored.manifest.has_archives, stdout=self.stdout)
