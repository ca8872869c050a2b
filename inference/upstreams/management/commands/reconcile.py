from argparse import ArgumentParser
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.reconciliation.comparing import days_to_look_at, sentence
from inference.reconciliation.services import reconcile
from inference.upstreams.models import Upstream


class Command(BaseCommand):
    help = (
        "Compare Cloudflare's own count of neurons with ours, by account, AI model and UTC day. "
        "Stores the rows that /admin/ shows under Reconciliation and prints them. Safe to repeat, "
        "and to run while the daily task does. Exit status 1 if any row is beyond tolerance, or an "
        "account could not be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--day",
            type=date.fromisoformat,
            metavar="YYYY-MM-DD",
            help="one UTC day; else the last RECONCILE_DAYS that are over. What differs on a day "
            "that is not over, or less than two hours ago, waits and is no drift",
        )
        parser.add_argument(
            "--account", metavar="NAME", default="", help="one account alone, by our name for it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days = [options["day"]] if options["day"] else days_to_look_at()
        if days[0] > datetime.now(UTC).date():
            raise CommandError(f"{days[0]} has not begun.")
        try:
            outcome = reconcile(days=days, account=options["account"])
        except Upstream.DoesNotExist:
            raise CommandError(f"There is no Cloudflare account {options['account']!r}.") from None
        for row in outcome.rows:
            self.stdout.write(sentence(row))
        for problem in outcome.problems:
            self.stdout.write(f"{problem}: not compared")
        if not outcome.rows and not outcome.problems:
            self.stdout.write("Nothing was used, here or there.")
        if outcome.beyond or outcome.problems:
            raise CommandError(
                f"{len(outcome.beyond)} of {len(outcome.rows)} rows are beyond tolerance, "
                f"{len(outcome.problems)} days of accounts could not be compared."
            )
