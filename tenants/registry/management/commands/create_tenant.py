"""Replaces django-tenants' command of the same name, which asks for columns of the table."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.registry.services import TenantExistsError, create_tenant


class Command(BaseCommand):
    help = "Make a tenant: its schema, and its owner where an address is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="its address, as in /t/<slug>/")
        parser.add_argument("--name", help="what people read; default: the slug")
        parser.add_argument("--owner-email")
        parser.add_argument("--owner-password", help="for an owner who is not known yet")
        parser.add_argument(
            "--if-missing", action="store_true", help="an existing tenant is left alone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = create_tenant(
                slug=options["slug"],
                name=options["name"] or options["slug"],
                owner_email=options["owner_email"],
                owner_password=options["owner_password"],
            )
        except TenantExistsError as exc:
            if options["if_missing"]:
                self.stdout.write(f"Tenant {options['slug']} is already there.")
                return
            raise CommandError(str(exc)) from None
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(f"Made tenant {tenant.slug} (code {tenant.code}).")
