from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.redis_store import RedisDownError
from tenants.announcements import maintenance
from tenants.announcements.models import Maintenance
from tenants.audit.services import Actor


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Show or switch what is taken. read_only: calls are served, nothing can be changed. "
        "paused: new calls are refused, too. off: as ever. Holds everywhere within a second, "
        "until it is switched again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("mode", nargs="?", choices=Maintenance.Mode.values)
        parser.add_argument("--reason", default="", help="for the operators' trail; required")
        parser.add_argument("--message", default="", help="why, for everybody to read")
        parser.add_argument(
            "--until", type=moment, metavar="YYYY-MM-DDTHH:MM", help="UTC; what people can expect"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mode"] is None:
            self.stdout.write(maintenance.latest().get_mode_display())
            return
        if not options["reason"].strip():
            raise CommandError("--reason is required: say why.")
        try:
            row = maintenance.change(
                mode=options["mode"],
                message=options["message"],
                ends_at=options["until"],
                reason=options["reason"].strip(),
                actor=Actor("command"),
            )
        except RedisDownError:
            raise CommandError(
                "It is written down, but Redis does not answer: repeat this."
            ) from None
        self.stdout.write(row.get_mode_display())
