import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.keys.services import create_api_key
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "Make an API key for a tenant and show it, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("--name", default="default")
        parser.add_argument(
            "--cache-ttl",
            type=int,
            default=0,
            metavar="SECONDS",
            help="answers of AI Gateway's cache up to this age will do; default: none",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        try:
            row, key = create_api_key(
                tenant=tenant,
                name=options["name"],
                actor="command",
                cache_ttl_s=options["cache_ttl"],
            )
        except ValueError as exc:
            raise CommandError(f"--cache-ttl: {exc}") from None
        if options["json"]:
            self.stdout.write(json.dumps({"key": key, "key_id": row.key_id, "name": row.name}))
        else:
            self.stdout.write(f"{key}\nKeep it safe: it cannot be shown again.")
