from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.money import format_usd
from agentflare.redis_store import RedisDownError
from billing.backup.errors import BackupError
from billing.backup.making import make_backup


class Command(BaseCommand):
    help = (
        "Back up everything into a new folder: all schemas at one moment, calls that are not "
        "booked yet, archived usage, and a manifest. Calls go on being served."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="must not be there yet")
        parser.add_argument("--jobs", type=int, default=2, help="dumps at once (2)")
        parser.add_argument(
            "--without-archives",
            action="store_true",
            help="leave the files below ARCHIVE_DIR to whatever else copies them",
        )
        parser.add_argument(
            "--without-redis",
            action="store_true",
            help="while Redis is down: calls that the ledger has not booked do not come along",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jobs"] < 1:
            raise CommandError("--jobs is 1 or more.")
        try:
            manifest = make_backup(
                options["folder"].absolute(),
                jobs=options["jobs"],
                has_archives=not options["without_archives"],
                has_calls=not options["without_redis"],
                tell=self.stdout.write,
            )
        except BackupError as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError as exc:
            raise CommandError(f"Redis does not answer: {exc}. --without-redis.") from None
        size = sum(part.size_bytes for part in manifest.parts)
        self.stdout.write(
            f"Backed up {len(manifest.books)} tenants with {format_usd(manifest.credit_nusd)} of "
            f"credit: {size / 1e6:.1f} MB in {options['folder']}. SECRET_KEY is not in it."
        )
