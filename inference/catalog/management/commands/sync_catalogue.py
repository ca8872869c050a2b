import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inference.catalog.comparing import compare
from inference.catalog.models import Difference


class Command(BaseCommand):
    help = """Compare the catalogue with Cloudflare's GET /ai/models/search.

The first active account is asked. Shows what is new there, gone or changed (context window,
prices, abilities, planned ends), and takes nothing over: models and their facts come with
releases, corrections and statuses are set in the admin. What the operator has dismissed there
is left out, unless --all is given.

Exit code: 0 when both say the same; 1 when Cloudflare did not tell (what was known stands);
2 when there are differences."""

    def create_parser(self, *args: Any, **options: Any) -> Any:
        parser = super().create_parser(*args, **options)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="also what was dismissed")
        parser.add_argument("--json", action="store_true", help="a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        comparison = compare()
        if comparison.error:
            raise CommandError(comparison.error)
        rows = Difference.objects.all()
        if not options["all"]:
            rows = rows.filter(dismissed_at=None)
        if options["json"]:
            self.stdout.write(json.dumps([as_object(row) for row in rows], indent=2))
        else:
            self.stdout.write(
                f"{comparison.models_seen} models at {comparison.account}; {len(rows)} differences."
            )
            for row in rows:
                self.stdout.write(as_line(row))
        if rows:
            raise SystemExit(2)


def as_object(row: Difference) -> dict[str, Any]:
    return {
        "model": row.upstream_model,
        "what": row.what,
        "field": row.field,
        "ours": row.ours,
        "theirs": row.theirs,
        "dismissed": row.dismissed_at is not None,
    }


def as_line(row: Difference) -> str:
    if row.what == Difference.What.CHANGED:
        return f"changed  {row.upstream_model}  {row.field}: {row.ours} -> {row.theirs}"
    return f"{row.what:<7}  {row.upstream_model}  {row.theirs or row.ours}"
