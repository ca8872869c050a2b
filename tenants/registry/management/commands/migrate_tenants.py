from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.registry.migrating import (
    Progress,
    migrate_all,
    note_versions,
    one_upgrade_at_a_time,
    sql_of,
    versions_behind,
)
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug

_HELP = """Bring tenants' schemas to this release's version; `upgrade` does it, too.

One schema of each version is migrated by Django and its SQL taken down; the others get that
SQL, several at once, each in one transaction. Old code may serve meanwhile. A repeat goes on
with those that are left, whatever stopped it. One upgrade runs at a time; a second one waits.

Exit code: 0 when all are at this version; 1 when some could not be brought there (they are
named, and are as they were)."""


class Command(BaseCommand):
    help = _HELP

    def create_parser(self, *args: Any, **options: Any) -> Any:
        parser = super().create_parser(*args, **options)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "slugs", nargs="*", metavar="slug", help="addresses of tenants; none: all of them"
        )
        parser.add_argument(
            "--jobs", type=int, default=4, help="how many at once, each with a connection (4)"
        )
        parser.add_argument(
            "--plan", action="store_true", help="say what would be done, and change nothing"
        )
        parser.add_argument("--sql", action="store_true", help="with --plan: the SQL, too")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jobs"] < 1:
            raise CommandError("--jobs is 1 or more.")
        try:
            tenants = [tenant_by_slug(slug) for slug in options["slugs"]] or None
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        with one_upgrade_at_a_time():
            versions = versions_behind(tenants)
            if not versions:
                note_versions()
                self.stdout.write("All schemas are at this version.")
                return
            for version in versions:
                names = ", ".join(f"{app}.{name}" for app, name in version.missing)
                self.stdout.write(f"{len(version.tenants)} schemas lack {names}.")
                if options["plan"] and options["sql"]:
                    self.stdout.write(sql_of(version))
            if options["plan"]:
                return
            self._last_told = -1.0
            ended = migrate_all(versions, jobs=options["jobs"], tell=self._tell)
        self.stdout.write(f"{ended.done} schemas migrated in {ended.seconds:.1f} s.")
        if ended.failed:
            lines = "\n".join(f"  {slug}: {why}" for slug, why in sorted(ended.failed.items()))
            raise CommandError(f"{len(ended.failed)} schemas are as they were:\n{lines}")

    def _tell(self, progress: Progress) -> None:
        """Once a second."""
        if progress.seconds - self._last_told < 1:
            return
        self._last_told = progress.seconds
        failed = f", {len(progress.failed)} failed" if progress.failed else ""
        self.stdout.write(
            f"{progress.done} of {progress.of}{failed}, {progress.seconds_left:.0f} s left"
        )
