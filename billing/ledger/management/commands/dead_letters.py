from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from billing.settlement import dead_letters
from tenants.audit.services import Actor


class Command(BaseCommand):
    help = (
        "Captured calls that the ledger could not take. list: what and why. retry: back to "
        "settlement, where each is booked once, however often it is sent; mend the cause before."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", "retry"])
        parser.add_argument("--why", default="", help="those of one reason, as `list` tells it")
        parser.add_argument("--reason", default="", help="of a retry, for the operators' trail")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [
            each
            for each in dead_letters.letters()
            if not options["why"] or each.why == options["why"]
        ]
        if options["action"] == "list":
            for each in found:
                self.stdout.write(
                    f"{each.at:%Y-%m-%d %H:%M:%S}  {each.tenant_code or '-'}  "
                    f"{each.request_id or each.letter_id}  {format_usd(each.cost_nusd)}  {each.why}"
                )
            self.stdout.write(f"{len(found)} dead letters.")
            return
        if not options["reason"].strip():
            raise CommandError("--reason is required: say why.")
        sent = dead_letters.retry(
            found, reason=options["reason"].strip()[:200], actor=Actor("command")
        )
        self.stdout.write(f"{sent} went back to settlement.")
