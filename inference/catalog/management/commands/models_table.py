from typing import Any

from django.core.management.base import BaseCommand

from inference.catalog.table import models_table


class Command(BaseCommand):
    help = "Print docs/models.md, made from the catalogue's file: models_table > docs/models.md"

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(models_table(), ending="")
