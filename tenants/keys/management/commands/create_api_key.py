import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.keys.models import Scope
from tenants.keys.services import create_api_key
from tenants.keys.settings import KeySettingError
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "Make an API key for a tenant and show it, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("--name", default="default")
        parser.add_argument(
            "--cache-ttl",
            type=int,
            metavar="SECONDS",
            help="answers of AI Gateway's cache up to this age will do; 0: none; default: as the "
            "workspace says",
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="what it may be used for, once or more often; default: inference, agents",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        settings = {"cache_ttl_s": options["cache_ttl"]}
        if options["scope"]:
            settings["scopes"] = options["scope"]
        try:
            row, key = create_api_key(
                tenant=tenant, name=options["name"], actor="command", **settings
            )
        except KeySettingError as exc:
            raise CommandError(f"{exc.field}: it takes {exc}") from None
        if options["json"]:
            self.stdout.write(json.dumps({"key": key, "key_id": row.key_id, "name": row.name}))
        else:
            self.stdout.write(f"{key}\nKeep it safe: it cannot be shown again.")
