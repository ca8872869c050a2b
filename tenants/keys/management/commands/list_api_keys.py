import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.keys.services import list_api_keys
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "List a tenant's API keys, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = list_api_keys(tenant=tenant_by_slug(options["slug"]))
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        rows = [
            {
                "prefix": key.prefix,
                "name": key.name,
                "created_at": key.created_at.isoformat(),
                "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
                "last_used_at": key.last_used_at and key.last_used_at.isoformat(),
            }
            for key in keys
        ]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            state = f"revoked {row['revoked_at']}" if row["revoked_at"] else "active"
            used = row["last_used_at"] or "never"
            self.stdout.write(f"{row['prefix']}…  {state}  last used {used}  {row['name']}")
