from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.ids import uuid7
from agentflare.money import format_usd, parse_usd
from billing.ledger.services import LedgerError, grant_credit
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "Give a tenant credit: a balanced entry in its ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("amount", help="dollars, such as 25 or 0.50")
        parser.add_argument(
            "--reference", help="names the cause; the same reference is booked once"
        )
        parser.add_argument("--memo", default="", help="the tenant reads it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
            amount_nusd = parse_usd(options["amount"])
            is_new = grant_credit(
                tenant=tenant,
                amount_nusd=amount_nusd,
                reference=options["reference"] or f"command:{uuid7().hex}",
                memo=options["memo"],
                actor="command",
            )
        except (TenantNotFoundError, ValueError, LedgerError) as exc:
            raise CommandError(str(exc)) from None
        if is_new:
            self.stdout.write(f"Gave {tenant.slug} ${format_usd(amount_nusd)}.")
        else:
            self.stdout.write(f"{options['reference']} was booked before; nothing changed.")
