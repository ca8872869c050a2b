from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.users.services import create_operator


class Command(BaseCommand):
    help = "Make a person with all rights in the admin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", required=True)
        parser.add_argument(
            "--if-missing", action="store_true", help="an existing person is left alone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = create_operator(
                email=options["email"],
                password=options["password"],
                if_missing=options["if_missing"],
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(f"Operator: {user.email}")
