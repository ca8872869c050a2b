from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from agentflare.redis_store import RedisDownError
from billing.backup.restoring import bring_up_to_date


class Command(BaseCommand):
    help = (
        "After PostgreSQL was put back to an earlier moment by other means than `restore`: make "
        "every gate from the ledger, book what Redis still has, and audit. Nothing may be served "
        "meanwhile. Repeat at will."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--without-audit", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _, settled = bring_up_to_date()
        except RedisDownError as exc:
            raise CommandError(f"Redis does not answer: {exc}.") from None
        self.stdout.write(f"All gates are the ledger's; {settled} events are booked.")
        if not options["without_audit"]:
            call_command("audit", stdout=self.stdout)
