from typing import Any

import psycopg
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from inference.catalog.services import load_catalogue
from tenants.registry.schemas import build_template, migrate_schema, tenants_behind
from tenants.users.staff import sync_roles

# One upgrade at a time, whoever starts how many. Any number will do.
_LOCK = 7_265_031


class Command(BaseCommand):
    help = "Bring the database up to this release: schemas, template, catalogue. Repeat at will."

    def handle(self, *args: Any, **options: Any) -> None:
        # On a connection of its own: migrating gives Django's back to the pool.
        with psycopg.connect(**connection.get_connection_params()) as lock:
            lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            self.upgrade()

    def upgrade(self) -> None:
        call_command("migrate_schemas", shared=True, interactive=False, verbosity=0)
        self.stdout.write("Shared schema: up to date.")
        build_template()
        self.stdout.write("Template of tenants' schemas: checked.")
        behind = tenants_behind()
        for tenant in behind:
            migrate_schema(tenant.schema_name)
        self.stdout.write(f"Tenants' schemas: {len(behind)} migrated.")
        sync_roles()
        loaded = load_catalogue()
        self.stdout.write(
            f"Catalogue: {loaded.models} AI models, {loaded.new_prices} new price versions."
        )
