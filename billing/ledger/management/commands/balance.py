import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from agentflare.redis_store import RedisDownError
from billing.admission.services import books
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "Print a tenant's posted, held, unsettled and available credit in dollars."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("--json", action="store_true", help="amounts are strings")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            gate = books(tenant_by_slug(options["slug"]))
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError:
            raise CommandError("Redis does not answer: only the ledger is known") from None
        rows = {
            "posted": format_usd(gate.posted),
            "held": format_usd(gate.held),
            "unsettled": format_usd(gate.unsettled),
            "available": format_usd(gate.available),
        }
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        width = max(map(len, rows.values()))
        for name, amount in rows.items():
            self.stdout.write(f"{name:<10} {amount:>{width}}")
