"""Telling those who used an AI model in the last 30 days that it ends: each workspace once.

A notice is written down with who gets it still to be found; a task finds them and owes each its
mails in one transaction with the receipt, so that whoever dies in between tells nobody twice.
"""

from django.db import transaction
from django.utils import timezone

from billing.business.figures import first_day
from billing.payments.outgoing import owe
from inference.catalog.models import AIModel, ModelNotice, ModelNoticeReceipt
from inference.catalog.selectors import USED_DAYS, used_since
from tenants.audit.services import Actor
from tenants.members.mails import page_of
from tenants.operators.services import record
from tenants.registry.models import Tenant
from tenants.users.models import Membership, Role

_TOLD = (Role.OWNER, Role.ADMIN)


def users_of(ai_model: AIModel) -> list[Tenant]:
    """The tenants that called it in the last 30 days, those that are gone left out."""
    codes = [code for _, code in used_since(first_day(USED_DAYS), ai_models=[ai_model.name])]
    return list(Tenant.objects.filter(code__in=codes, closure=None).order_by("name"))


def addresses_of(tenant: Tenant) -> list[str]:
    """Of those who decide which AI models are used."""
    people = Membership.objects.filter(tenant=tenant, role__in=_TOLD, user__is_active=True)
    return sorted(people.values_list("user__email", flat=True))


def draft(ai_model: AIModel) -> tuple[str, str]:
    """Subject and text to begin with."""
    when = f" on {ai_model.ends_on}" if ai_model.ends_on else ""
    off = ai_model.status == AIModel.Status.OFF
    what = "has been switched off" if off else f"will be switched off{when}"
    instead = f" Please use {ai_model.successor_id} instead." if ai_model.successor_id else ""
    return (
        f"The model {ai_model.name} {what}",
        f"You have used the AI model {ai_model.name} in the last {USED_DAYS} days. It {what}; "
        f"calls to it {'are' if off else 'will then be'} refused.{instead}",
    )


def give_notice(
    *, ai_model: AIModel, subject: str, text: str, reason: str, actor: Actor
) -> ModelNotice:
    """Written down; a task sends it."""
    with transaction.atomic():
        notice = ModelNotice.objects.create(
            ai_model=ai_model, subject=subject, text=text, created_by=actor.name
        )
        record(
            actor=actor,
            action="aimodel.notice_given",
            subject=ai_model.name,
            reason=reason,
            notice=subject,
        )
    return notice


def send_notices() -> int:
    """Those that are not finished. Returns how many workspaces were told."""
    unfinished = ModelNotice.objects.filter(finished_at=None).select_related("ai_model")
    return sum(_send(notice) for notice in unfinished)


def _send(notice: ModelNotice) -> int:
    told = 0
    for tenant in users_of(notice.ai_model):
        with transaction.atomic():
            addresses = addresses_of(tenant)
            _, is_new = ModelNoticeReceipt.objects.get_or_create(
                notice=notice, tenant_code=tenant.code, defaults={"mails": len(addresses)}
            )
            if not is_new:
                continue
            page = page_of(tenant, "models")
            owe(
                addresses,
                subject=f"{tenant.name}: {notice.subject}",
                message=f"{notice.text}\n\n{page}{notice.ai_model_id}/\n",
            )
        told += 1
    ModelNotice.objects.filter(pk=notice.pk).update(finished_at=timezone.now())
    return told
