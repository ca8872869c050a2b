"""Changing what a workspace is called, where it is, and how its calls are treated."""

from dataclasses import asdict

from django.db import IntegrityError, transaction
from django_tenants.utils import schema_context

from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.limits import Limits
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import is_slug_taken
from tenants.workspaces.models import PastSlug, Preferences


class SlugTakenError(Exception):
    """It is, or was, another workspace's address."""


def rename(*, tenant: Tenant, name: str, slug: str, actor: Actor) -> Tenant:
    """The old address leads to the new one from then on, and is given to nobody else.

    Raises SlugTakenError; then nothing is changed.
    """
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        wanted = {"name": name, "slug": slug}
        changes = {
            field: [getattr(row, field), value]
            for field, value in wanted.items()
            if getattr(row, field) != value
        }
        if not changes:
            return row
        if "slug" in changes:
            if is_slug_taken(slug, by_others_than=row):
                raise SlugTakenError(slug)
            PastSlug.objects.filter(slug=slug).delete()
            PastSlug.objects.create(slug=row.slug, tenant=row)
        row.name, row.slug = name, slug
        try:
            with transaction.atomic():
                row.save(update_fields=["name", "slug"])
        except IntegrityError:  # somebody else has taken it since we looked
            transaction.set_rollback(True)
            raise SlugTakenError(slug) from None
        _record(row, actor, "workspace.renamed", **changes)
    return row


def choose_limits(
    *, tenant: Tenant, limits: Limits, shrink_to_fit: bool, cache_ttl_s: int, actor: Actor
) -> None:
    """Limits below those the workspace has been granted, and what holds where a key or a call
    does not say; within a second.

    When Redis is down the change stands in PostgreSQL, takes effect within a minute, and the
    call raises.
    """
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        Preferences.objects.update_or_create(tenant=row, defaults=asdict(limits))
        defaults = {"shrink_to_fit": shrink_to_fit, "cache_ttl_s": cache_ttl_s}
        for field, value in defaults.items():
            setattr(row, field, value)
        row.status_version += 1
        row.save(update_fields=[*defaults, "status_version"])
        _record(row, actor, "workspace.limits_chosen", **defaults, **asdict(limits))
    status.publish(Tenant.objects.get(pk=row.pk))


def choose_alerts(*, tenant: Tenant, roles: list[str], addresses: list[str], actor: Actor) -> None:
    with schema_context("public"), transaction.atomic():
        chosen = {"alert_roles": roles, "alert_addresses": addresses}
        Preferences.objects.update_or_create(tenant=tenant, defaults=chosen)
        _record(tenant, actor, "workspace.alerts_changed", roles=roles, addresses=addresses)


def choose_retention(*, tenant: Tenant, months: int | None, actor: Actor) -> None:
    """How many whole months single calls are shown; None: as long as the operator keeps them."""
    with schema_context("public"), transaction.atomic():
        Preferences.objects.update_or_create(tenant=tenant, defaults={"retention_months": months})
        _record(tenant, actor, "workspace.retention_changed", months=months)


def _record(tenant: Tenant, actor: Actor, action: str, **detail: object) -> None:
    with tenant_schema(tenant.code):
        audit.record(actor=actor, action=action, subject=tenant.slug, **detail)
