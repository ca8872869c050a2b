from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.keys.format import KeyParts, parse_key
from tenants.keys.models import ApiKey
from tenants.keys.services import revoke_api_key
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = "Revoke an API key, everywhere within a second."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the tenant")
        parser.add_argument("key", help="the key, its prefix (oi_…) or its id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
            key_id = self.key_id(options["key"])
            row = revoke_api_key(tenant=tenant, key_id=key_id, actor="command")
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        except ApiKey.DoesNotExist:
            raise CommandError(f"{tenant.slug} has no key {options['key']}") from None
        self.stdout.write(f"Revoked {row.prefix}….")

    @staticmethod
    def key_id(text: str) -> str:
        parts: KeyParts | None = parse_key(text)
        return parts.key_id if parts else text[-8:]
