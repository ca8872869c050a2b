"""Markups from a shell."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from billing.prices.markups import price_table, to_come
from billing.prices.models import Markup
from billing.prices.services import set_markup
from inference.catalog.fresh import changed
from inference.catalog.models import AIModel
from inference.catalog.price_changes import take_back, tell_tenants
from tenants.operators.services import record
from tenants.registry.models import Tenant


class Command(BaseCommand):
    help = (
        "Markups on what calls cost: of everybody, an AI model, a tenant, or a tenant at an AI "
        "model; the narrowest decides. A change takes effect within a second, without a restart; "
        "calls that were admitted before keep their price. The admin previews the margin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="those that hold now, and those that are to come")
        put = actions.add_parser(
            "set",
            help="put a markup on a scope, now or later",
            description="Example: markup set 15 --tenant 7k2m9x --reason 'contract of May'",
        )
        put.add_argument("percent", help="such as 20 or 12.5; `none`: the scope says nothing more")
        put.add_argument("--model", default="", help="an AI model's name; left out: all")
        put.add_argument("--tenant", default="", help="a tenant's code; left out: all")
        put.add_argument("--start", help="ISO time with its zone; left out: now")
        put.add_argument("--reason", required=True)
        put.add_argument(
            "--tell",
            action="store_true",
            help="mail the tenants for whom it makes something dearer",
        )
        back = actions.add_parser("withdraw", help="take back one that has not started")
        back.add_argument("number", type=int, help="as `list` shows it")
        back.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, options["action"] + "_")(**options)

    def list_(self, **options: Any) -> None:
        now = timezone.now()
        in_force = price_table(now).markups.values()
        markups = [row for row in to_come(now) if isinstance(row, Markup)]
        for state, rows in (("in force", in_force), ("to come", markups)):
            for row in rows:
                self.stdout.write(f"{row.pk}  {state}  {row}")

    def set_(
        self,
        *,
        percent: str,
        model: str,
        tenant: str,
        start: str | None,
        reason: str,
        tell: bool,
        **options: Any,
    ) -> None:
        if model and not AIModel.objects.filter(name=model).exists():
            raise CommandError(f"There is no AI model {model!r}.")
        whose = Tenant.objects.filter(code=tenant).first() if tenant else None
        if tenant and whose is None:
            raise CommandError(f"There is no tenant {tenant!r}.")
        if not model and not tenant and percent == "none":
            raise CommandError("Everybody needs a markup: 0 sells at what it costs us.")
        starts_at = parse_datetime(start) if start else None
        if start and (starts_at is None or starts_at.tzinfo is None):
            raise CommandError(f"{start!r}: such as 2026-12-01T00:00Z.")
        if starts_at and starts_at < timezone.now():
            raise CommandError("A markup cannot start in the past.")
        with transaction.atomic():
            row = set_markup(
                percent=_percent(percent),
                ai_model=model,
                tenant_code=tenant,
                starts_at=starts_at,
                created_by="command",
            )
            record(
                actor="command",
                action="markup.added",
                subject=str(row),
                reason=reason,
                tenant=whose,
            )
            told = tell_tenants(row, reason=reason, actor="command") if tell else 0
            transaction.on_commit(changed)
        self.stdout.write(f"{row.pk}  {row}")
        if tell:
            self.stdout.write(f"Tenants that pay more and are told: {told}")

    def withdraw_(self, *, number: int, reason: str, **options: Any) -> None:
        row = Markup.objects.filter(pk=number).first()
        if row is None:
            raise CommandError(f"There is no markup {number}.")
        if not take_back(row, reason=reason, actor="command"):
            raise CommandError("It has started or was withdrawn already: set another one.")
        self.stdout.write(f"It will not start: {row}")


def _percent(text: str) -> Decimal | None:
    if text == "none":
        return None
    try:
        percent = Decimal(text)
    except InvalidOperation:
        percent = Decimal(-1)
    if not 0 <= percent <= 10_000:
        raise CommandError(f"{text!r}: a markup is 0 or more, such as 20 or 12.5, or `none`.")
    return percent
