from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from agentflare.redis_store import RedisDownError
from billing.admission.selectors import all_holds, running_holds
from tenants.registry.models import Tenant
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "List the credit that running calls hold, the oldest first. Read-only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="?", help="a tenant; else all")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["slug"]
        try:
            holds = running_holds(tenant_by_slug(slug).code) if slug else all_holds()
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError:
            raise CommandError("Redis does not answer") from None
        names = dict(Tenant.objects.values_list("code", "slug"))
        for hold in holds:
            self.stdout.write(
                f"req_{hold.request_id}  {names.get(hold.tenant_code, hold.tenant_code)}  "
                f"{hold.event.ai_model}  held {format_usd(hold.amount_nusd)}  "
                f"used {format_usd(hold.cost_nusd)}  for {hold.age_ms / 1000:.0f} s"
            )
        total = format_usd(sum(hold.amount_nusd for hold in holds))
        self.stdout.write(f"{len(holds)} holds, {total} in all")
