from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from inference.catalog.services import load_catalogue
from tenants.registry.migrating import (
    migrate_all,
    note_versions,
    one_upgrade_at_a_time,
    versions_behind,
)
from tenants.registry.schemas import build_template, is_half_restored
from tenants.registry.versions import note_contractions
from tenants.users.staff import sync_roles


class Command(BaseCommand):
    help = "Bring the database up to this release: schemas, template, catalogue. Repeat at will."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--jobs", type=int, default=4, help="tenants' schemas at once")

    def handle(self, *args: Any, **options: Any) -> None:
        with one_upgrade_at_a_time():
            if is_half_restored():
                raise CommandError("A restore was interrupted here: repeat `manage.py restore`.")
            self.upgrade(jobs=options["jobs"])

    def upgrade(self, *, jobs: int) -> None:
        note_contractions()
        call_command("migrate_schemas", shared=True, interactive=False, verbosity=0)
        self.stdout.write("Shared schema: up to date.")
        build_template()
        self.stdout.write("Template of tenants' schemas: checked.")
        ended = migrate_all(versions_behind(), jobs=jobs)
        note_versions()
        self.stdout.write(f"Tenants' schemas: {ended.done} migrated.")
        if ended.failed:
            raise CommandError(
                f"{len(ended.failed)} schemas are as they were, of {', '.join(ended.failed)}: see "
                "`manage.py migrate_tenants`."
            )
        sync_roles()
        loaded = load_catalogue()
        self.stdout.write(
            f"Catalogue: {loaded.models} AI models, {loaded.new_prices} new price versions."
        )
