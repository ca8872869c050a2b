"""From a person to a workspace that can be used: made, with a plan and trial credit."""

import logging

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from agentflare.redis_store import RedisDownError
from billing.ledger.services import grant_credit
from billing.onboarding.models import TrialGrant
from billing.onboarding.selectors import mailbox_of, may_own_another
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key
from tenants.registry.models import Plan, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import create_tenant
from tenants.users.models import User

logger = logging.getLogger(__name__)


class TooManyWorkspacesError(Exception):
    """The person owns as many as the operator allows, or may make none."""


def open_workspace(*, user: User, name: str, slug: str, actor: Actor) -> Tenant:
    """Make a workspace that the person owns, on the trial plan where there is one.

    Raises TooManyWorkspacesError, TenantExistsError, or ValueError for a slug that is no
    address. Nothing is made then.
    """
    promise = None
    try:
        with transaction.atomic():
            # One after the other: two requests at once would both find room for one more.
            User.objects.select_for_update().get(pk=user.pk)
            if not may_own_another(user):
                raise TooManyWorkspacesError
            plan = Plan.objects.filter(slug=settings.TRIAL_PLAN).first()
            tenant = create_tenant(slug=slug, name=name, owner_email=user.email, plan=plan)
            with tenant_schema(tenant.code):
                audit.record(
                    actor=actor,
                    action="tenant.created",
                    subject=slug,
                    plan=plan.slug if plan else None,
                )
            promise = _promise_trial(user=user, tenant=tenant)
    except RedisDownError:
        # The workspace is there; its standing is read from PostgreSQL meanwhile.
        logger.warning("%s: Redis was not told of the new workspace", slug)
    if promise:
        keep_promise(promise)
    return tenant


def _promise_trial(*, user: User, tenant: Tenant) -> TrialGrant | None:
    """The operator's trial credit, for a person's first workspace; None: there is none to give."""
    if not settings.TRIAL_CREDIT_NUSD:
        return None
    try:
        with transaction.atomic():
            return TrialGrant.objects.create(
                user=user,
                mailbox=mailbox_of(user.email),
                tenant=tenant,
                amount_nusd=settings.TRIAL_CREDIT_NUSD,
            )
    except IntegrityError:  # the person, or another with the same mailbox, has had it
        return None


def keep_promise(promise: TrialGrant) -> None:
    """Book promised credit. A repeat books nothing."""
    if promise.booked_at or promise.tenant is None:
        return
    try:
        grant_credit(
            tenant=promise.tenant,
            amount_nusd=promise.amount_nusd,
            reference=promise.reference,
            actor="system",
            memo="Trial credit",
        )
    except RedisDownError:
        # It is in the ledger; the gate reads it there once it is back.
        logger.warning("%s: the gate was not told of the trial credit", promise.tenant.slug)
    promise.booked_at = timezone.now()
    promise.save(update_fields=["booked_at"])


def has_had_key() -> bool:
    """Whether a program's key was ever made. Call it inside the tenant's schema."""
    return bool(ApiKey.objects.filter(source=ApiKey.Source.MADE).exists())


def make_first_key(*, tenant: Tenant, actor: Actor) -> str | None:
    """The first API key of a workspace. None: it has had one, and nobody can see that again."""
    with transaction.atomic():
        # Two requests at once would both find none.
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        with tenant_schema(tenant.code):
            if has_had_key():
                return None
        _, key = create_api_key(tenant=tenant, name="First key", actor=actor)
    return key
