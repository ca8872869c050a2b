from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from dataclasses import asdict, fields, replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.limits import Limits
from tenants.registry.models import Plan
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug
from tenants.registry.services import change_limits

NONE = "none"


class Command(BaseCommand):
    help = (
        "Put a tenant on a plan, and give it limits of its own; within a second. Without "
        "options: show them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--plan", help=f"a plan's slug; {NONE}: the default plan")
        for field in fields(Limits):
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                dest=field.name,
                type=limit,
                metavar="N",
                help=f"its own limit; {NONE}: as the plan says",
            )
        parser.add_argument(
            "--shrink-to-fit",
            action=BooleanOptionalAction,
            help="lower a call's output cap to what the credit pays for, instead of refusing it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["slug"])
        except TenantNotFoundError as exc:
            raise CommandError(str(exc)) from None
        plan, shrinks = tenant.plan, options["shrink_to_fit"]
        if options["plan"] is not None:
            plan = None if options["plan"] == NONE else self._plan(options["plan"])
        given = {
            field.name: None if options[field.name] == NONE else options[field.name]
            for field in fields(Limits)
            if options[field.name] is not None
        }
        if given or options["plan"] is not None or shrinks is not None:
            change_limits(
                tenant=tenant,
                plan=plan,
                limits=replace(tenant.own_limits, **given),
                shrink_to_fit=tenant.shrink_to_fit if shrinks is None else shrinks,
                actor="command",
            )
        self.stdout.write(f"plan                 {tenant.plan or 'the default plan'}")
        for name, value in asdict(tenant.limits).items():
            own = "" if getattr(tenant, name) is None else " (its own)"
            self.stdout.write(f"{name:20} {'no limit' if value is None else value}{own}")
        self.stdout.write(f"{'shrink_to_fit':20} {'yes' if tenant.shrink_to_fit else 'no'}")

    def _plan(self, slug: str) -> Plan:
        plan = Plan.objects.filter(slug=slug).first()
        if plan is None:
            known = ", ".join(Plan.objects.values_list("slug", flat=True))
            raise CommandError(f"there is no plan {slug}; there are {known}")
        return plan


def limit(text: str) -> int | str:
    if text == NONE:
        return text
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ArgumentTypeError(f"{text!r} is no whole number, and not '{NONE}'")
    return int(text)
