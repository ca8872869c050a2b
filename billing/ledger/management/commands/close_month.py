from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from billing.business import closes
from billing.business.models import MonthClose
from billing.business.rolling_up import codes_to_roll_up, roll_up
from tenants.audit.services import Actor


class Command(BaseCommand):
    help = (
        "A month's close: credit sold, given, refunded, used and owed of all tenants, as their "
        "ledgers have it now. --hand-over remembers it, and later runs tell what has changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("month", metavar="YYYY-MM", help="of UTC")
        parser.add_argument("--csv", metavar="FILE", help="write it there, whole or not at all")
        parser.add_argument("--hand-over", action="store_true", help="remember it as it is")
        parser.add_argument("--reason", default="", help="of handing it over: to whom")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = datetime.strptime(options["month"], "%Y-%m").replace(tzinfo=UTC).date()
        except ValueError:
            raise CommandError(f"{options['month']!r} is no month, such as 2026-11.") from None
        for code in codes_to_roll_up():
            roll_up(code)
        rows = closes.close_of(month)
        total = closes.total_of(rows)
        for column, nusd in zip(closes.COLUMNS[2:], total.amounts, strict=True):
            self.stdout.write(f"{column:<12} {format_usd(nusd):>24}")
        self.stdout.write(f"{len(rows)} tenants.")
        if options["csv"]:
            _write(Path(options["csv"]), rows)
        if options["hand_over"]:
            self._hand_over(month, options["reason"].strip()[:200])
        if made := MonthClose.objects.filter(month=month).first():
            self.stdout.write(f"Handed over on {made.closed_at:%Y-%m-%d} by {made.closed_by}.")
            for name, column, then_nusd, now_nusd in closes.changed_since(made, rows):
                self.stdout.write(
                    f"changed since: {name}, {column}: {format_usd(then_nusd)} -> "
                    f"{format_usd(now_nusd)}"
                )

    def _hand_over(self, month: Any, reason: str) -> None:
        if not reason:
            raise CommandError("--reason is required: say to whom.")
        try:
            closes.hand_over(month, reason=reason, actor=Actor("command"))
        except closes.NotOverError as exc:
            raise CommandError(str(exc)) from None


def _write(path: Path, rows: list[closes.Close]) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(closes.as_csv(rows))
    unfinished.replace(path)
