"""A tenant's life: made, limited, suspended, resumed."""

from dataclasses import asdict

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.ids import BASE36, random_code
from tenants.audit import services as audit
from tenants.limits import Limits
from tenants.registry import status
from tenants.registry.models import Plan, Tenant
from tenants.registry.schemas import create_schema, migrations_fingerprint, schema_name
from tenants.registry.slugs import SLUG
from tenants.registry.stop_orders import order_stop
from tenants.users.models import Role
from tenants.users.services import add_member
from tenants.webhooks.outbox import emit
from tenants.workspaces.models import PastSlug


class TenantExistsError(Exception):
    """The slug is taken."""


def create_tenant(
    *,
    slug: str,
    name: str,
    owner_email: str | None = None,
    owner_password: str | None = None,
    plan: Plan | None = None,
) -> Tenant:
    """Make a tenant with its schema and, where an address is given, its owner.

    All of it or nothing. plan: None for the default one. Raises ValueError for a slug that is
    no address, and TenantExistsError when it is taken.
    """
    if not SLUG.fullmatch(slug):
        raise ValueError(
            f"{slug!r} is not a slug: small letters, digits and hyphens between them, up to 40"
        )
    with schema_context("public"), transaction.atomic():
        if is_slug_taken(slug):
            raise TenantExistsError(f"there is already a tenant {slug}")
        code = random_code(6, BASE36)
        tenant = Tenant(
            slug=slug,
            name=name,
            code=code,
            schema_name=schema_name(code),
            schema_version=migrations_fingerprint(),
            plan=plan,
        )
        try:
            with transaction.atomic():
                tenant.save()
        except IntegrityError:  # somebody else has taken it since we looked
            raise TenantExistsError(f"there is already a tenant {slug}") from None
        create_schema(tenant.schema_name)
        if owner_email:
            add_member(tenant=tenant, email=owner_email, role=Role.OWNER, password=owner_password)
        transaction.on_commit(lambda: status.publish(tenant))
    return tenant


def is_slug_taken(slug: str, *, by_others_than: Tenant | None = None) -> bool:
    """Whether a tenant has it as its address, or had it: that leads to where it is now."""
    present, past = Tenant.objects.filter(slug=slug), PastSlug.objects.filter(slug=slug)
    if by_others_than is not None:
        present = present.exclude(pk=by_others_than.pk)
        past = past.exclude(tenant=by_others_than)
    return present.exists() or past.exists()


def suspend_tenant(
    *, tenant: Tenant, reason: str, actor: str, ends_streams: bool | None = None
) -> None:
    """Refuse all calls of this tenant, in every process, from now on.

    reason: the tenant reads it. ends_streams: whether streams that run end within a second, each
    in an error that gives the reason, and paid up to there; None: as SUSPENSION_ENDS_STREAMS has
    it. All other calls run to their end. A repeat replaces the reason. When Redis is down the
    suspension stands in PostgreSQL, takes effect within the cache's time, and the call
    raises: repeat it.
    """
    _change_status(tenant, suspended=True, reason=reason, actor=actor)
    if settings.SUSPENSION_ENDS_STREAMS if ends_streams is None else ends_streams:
        order_stop(tenant.code, reason)


def resume_tenant(*, tenant: Tenant, actor: str, reason: str = "") -> None:
    """Serve this tenant again. reason: for its audit trail."""
    _change_status(tenant, suspended=False, reason=reason, actor=actor)


def change_limits(
    *, tenant: Tenant, plan: Plan | None, limits: Limits, shrink_to_fit: bool, actor: str
) -> None:
    """Put a tenant on a plan, with limits of its own where it has any; within a second.

    plan: None for the default one. When Redis is down the change stands in PostgreSQL, takes
    effect within a minute, and the call raises: repeat it.
    """
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        row.plan = plan
        for field, limit in asdict(limits).items():
            setattr(row, field, limit)
        row.shrink_to_fit = shrink_to_fit
        row.status_version += 1
        row.save()
        with schema_context(row.schema_name):
            audit.record(
                actor=actor,
                action="tenant.limits_changed",
                subject=row.slug,
                plan=plan.slug if plan else None,
                shrink_to_fit=shrink_to_fit,
                **asdict(limits),
            )
    tenant.refresh_from_db()
    status.publish(tenant)


def publish_plan(plan: Plan) -> int:
    """Tell Redis the limits of all tenants on a plan that has changed. Returns how many."""
    on_it = Q(plan=plan) | Q(plan=None) if plan.is_default else Q(plan=plan)
    Tenant.objects.filter(on_it).update(status_version=F("status_version") + 1)
    tenants = Tenant.objects.select_related("plan").filter(on_it)
    for tenant in tenants:
        status.publish(tenant)
    return len(tenants)


def _change_status(tenant: Tenant, *, suspended: bool, reason: str, actor: str) -> None:
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        row.suspended_at = timezone.now() if suspended else None
        row.suspension_reason = reason if suspended else ""
        row.status_version += 1
        row.save(update_fields=["suspended_at", "suspension_reason", "status_version"])
        with schema_context(row.schema_name):
            action = "tenant.suspended" if suspended else "tenant.resumed"
            audit.record(actor=actor, action=action, subject=row.slug, reason=reason)
            if suspended:
                emit(
                    tenant_code=row.code,
                    event="workspace.suspended",
                    cause=str(row.status_version),
                    data={"reason": reason},
                )
    tenant.refresh_from_db()
    status.publish(tenant)
