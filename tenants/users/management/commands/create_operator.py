from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.users.services import create_operator
from tenants.users.staff import ROLES


class Command(BaseCommand):
    help = "Make a person who may enter the admin: with all rights, or with a role's."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", required=True)
        parser.add_argument(
            "--role", choices=ROLES, default="", help="default: all rights, of an admin"
        )
        parser.add_argument(
            "--if-missing", action="store_true", help="an existing person is left alone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = create_operator(
                email=options["email"],
                password=options["password"],
                role=options["role"],
                if_missing=options["if_missing"],
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(f"Operator: {user.email}")
