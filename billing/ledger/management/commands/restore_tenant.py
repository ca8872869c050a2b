from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from agentflare.redis_store import RedisDownError
from billing.backup.errors import BackupError
from billing.backup.tenant_restore import restore_tenant


class Command(BaseCommand):
    help = (
        "Put a tenant back from a file of `export_tenant`: all of it or nothing. Its keys work, "
        "its gate is made from the ledger, and its books are audited."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--replace",
            action="store_true",
            help="the tenant is here, and suspended: put its schema aside, and the file's in its "
            "place. People, address and standing stay as they are",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restore_tenant(options["file"], replaces=options["replace"])
        except BackupError as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError as exc:
            raise CommandError(f"Redis does not answer: {exc}.") from None
        credit = format_usd(done.books.accounts.get("credit", 0))
        self.stdout.write(
            f"Restored {done.tenant.slug} with {credit} of credit and {done.books.records} calls; "
            f"{done.calls.captured + done.calls.running} were not booked, and are."
        )
        if done.before:
            was = format_usd(done.before.accounts.get("credit", 0))
            self.stdout.write(f"It had {was} and {done.before.records} calls.")
        if done.kept_schema:
            self.stdout.write(f"What was there is in the schema {done.kept_schema}: drop it later.")
        for note in done.notes:
            self.stdout.write(note)
        if done.violations:
            lines = "\n".join(done.violations)
            raise CommandError(f"{len(done.violations)} rules are broken:\n{lines}")
        self.stdout.write("Clean: no rule is broken.")
