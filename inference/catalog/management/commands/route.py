from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.catalog.models import Route
from inference.catalog.routes import RouteError, remove_route, set_route


class Command(BaseCommand):
    help = (
        "Routes: names that clients use for whichever of several AI models you choose. "
        "A change takes effect within seconds, without a restart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all routes")
        add = actions.add_parser(
            "set",
            help="make a route, or change where it leads",
            description="Example: route set fast llama-3.3-70b-fast=3 qwen-3-30b=1 "
            "--fallback gpt-oss-20b",
        )
        add.add_argument("name", help="what clients will name in `model`")
        add.add_argument("models", nargs="*", help="AI model, or AI model=weight")
        add.add_argument(
            "--fallback", action="append", default=[], help="tried in this order; repeatable"
        )
        add.add_argument("--note", default="")
        remove = actions.add_parser("remove", help="the name leads nowhere then")
        remove.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["action"] + "_")(**options)
        except RouteError as exc:
            raise CommandError(str(exc)) from None

    def list_(self, **options: Any) -> None:
        for route in Route.objects.prefetch_related("candidates"):
            leads = [
                f"{row.ai_model_id}={row.weight}" if row.weight else f"else {row.ai_model_id}"
                for row in route.candidates.all()
            ]
            state = "" if route.is_active else " (off)"
            self.stdout.write(f"{route.name}{state}: {', '.join(leads)}")

    def set_(self, *, name: str, models: list[str], **options: Any) -> None:
        pairs = list(map(_weight, models))
        weights = dict(pairs)
        if len(weights) < len(pairs):
            raise RouteError("An AI model can stand in a route once.")
        set_route(name=name, weights=weights, fallbacks=options["fallback"], note=options["note"])
        self.stdout.write(f"{name} leads to {', '.join([*weights, *options['fallback']])}.")

    def remove_(self, *, name: str, **options: Any) -> None:
        remove_route(name=name)
        self.stdout.write(f"{name} is removed.")


def _weight(text: str) -> tuple[str, int]:
    name, _, weight = text.partition("=")
    try:
        return name, int(weight or 1)
    except ValueError:
        raise RouteError(f"{text!r}: a weight is a whole number.") from None
