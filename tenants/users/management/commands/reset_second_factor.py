from argparse import ArgumentParser
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError

from tenants.users.models import User


class Command(BaseCommand):
    help = (
        "Take away a person's authenticator app, passkeys and recovery codes: they are lost, and "
        "you know that it is the person who asks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].lower()).first()
        if user is None:
            raise CommandError(f"there is no user {options['email']}")
        count, _ = Authenticator.objects.filter(user=user).delete()
        self.stdout.write(
            f"{user.email} signs in with the password alone now."
            if count
            else f"{user.email} has no second factor; nothing changed."
        )
