"""All that helps a tenant within a minute, on one page. What can be done: tenant_actions.py."""

import json
from uuid import uuid4

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from agentflare.redis_store import RedisDownError
from billing.admission.selectors import running_holds
from billing.admission.services import books
from billing.business import figures
from billing.business.charts import by_day_chart
from billing.business.models import CreditChange, TenantState
from billing.business.tenant_actions import CHANGE_CREDIT, open_proposals
from billing.dashboard.overview import spending
from billing.ledger.models import JournalEntry, Posting
from billing.payments.amounts import NUSD_PER_CENT, entry
from billing.payments.models import BillingAccount, TopUp
from billing.payments.refunds import refundable_cents
from billing.usage.selectors import recent_calls
from tenants.audit.models import AuditEvent
from tenants.audit.words import details, what
from tenants.keys.models import ApiKey
from tenants.members import visits
from tenants.members.invitations import pending_of
from tenants.operators.models import OperatorAction
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Membership, Role
from tenants.workspaces.models import GRACE

_SHOWN = 10
_DAYS = 30


@staff_member_required
@permission_required("registry.view_tenant", raise_exception=True)
@require_safe
def tenant_page(request: HttpRequest, code: str) -> HttpResponse:
    tenant = get_object_or_404(Tenant.objects.select_related("plan"), code=code)
    try:
        gate, holds = books(tenant), running_holds(tenant.code)
    except RedisDownError:
        gate, holds = None, []
    with tenant_schema(tenant.code):
        context = {
            "spent": spending(tenant),
            "calls": recent_calls(limit=_SHOWN),
            "entries": _entries(),
            "keys": list(ApiKey.objects.filter(revoked_at=None)[:_SHOWN]),
            "key_count": ApiKey.objects.filter(revoked_at=None).count(),
            "account": BillingAccount.objects.first(),
            "payments": _payments(gate.available if gate else 0),
            "trail": _trail(),
        }
    context |= {
        **admin.site.each_context(request),
        "title": tenant.name,
        "tenant": tenant,
        "gate": gate,
        "holds": holds,
        "state": TenantState.objects.filter(pk=tenant.code).first(),
        "members": Membership.objects.filter(tenant=tenant).select_related("user"),
        "invitations": pending_of(tenant),
        "roles": Role,
        "limits": tenant.limits,
        "used": _used(tenant),
        "notes": list(tenant.operator_notes.all()[:_SHOWN]),
        "actions": list(OperatorAction.objects.filter(tenant_code=tenant.code)[:_SHOWN]),
        "ends_streams": settings.SUSPENSION_ENDS_STREAMS,
        "grace_days": GRACE.days,
        "proposals": [
            (each, each.detail["credit_cents"] * NUSD_PER_CENT) for each in open_proposals(tenant)
        ],
        "may_refund": request.user.has_perm("stripe.change_stripeevent"),
        "may_visit": request.user.has_perm(visits.RIGHT),
        "may_note": request.user.has_perm("operators.add_tenantnote"),
        "may_invite": request.user.has_perm("registry.add_tenant"),
        "changes": list(CreditChange.objects.filter(tenant=tenant)[:_SHOWN]),
        "may_change": request.user.has_perm("registry.change_tenant"),
        "may_change_credit": request.user.has_perm(CHANGE_CREDIT),
        "alone_nusd": settings.CREDIT_ALONE_NUSD,
        "stripe_url": "https://dashboard.stripe.com/customers/",
    }
    return render(request, "admin/tenant.html", context)


def _payments(available_nusd: int) -> list[dict[str, object]]:
    """The latest, what of each can be paid back, and what was. In the tenant's schema."""
    top_ups = TopUp.objects.order_by("-id").prefetch_related("refunds", "disputes")[:_SHOWN]
    payments: list[dict[str, object]] = []
    for top_up in top_ups:
        cents = refundable_cents(top_up, available_nusd=available_nusd, by_operator=True)
        payments.append(
            {
                "top_up": top_up,
                "refundable": entry(cents) if cents else "",
                "refunds": list(top_up.refunds.all()),
                "disputes": list(top_up.disputes.all()),
                "form_id": uuid4(),
            }
        )
    return payments


def _used(tenant: Tenant) -> dict[str, object]:
    """The last days, from the shared sums."""
    since = figures.first_day(_DAYS)
    by_day = figures.by_day(since, tenant_code=tenant.code)
    return {
        "days": _DAYS,
        "totals": figures.total_of(by_day),
        "by_day": [(day, each) for day, each in reversed(by_day) if each.calls],
        "chart": json.dumps(by_day_chart(by_day)),
        "models": figures.by_model(since, tenant_code=tenant.code),
    }


def _entries() -> list[tuple[JournalEntry, int]]:
    """The latest, and what each brought to the credit, or took. In the tenant's schema."""
    entries = list(JournalEntry.objects.order_by("-id")[:_SHOWN])
    amounts = dict.fromkeys((entry.pk for entry in entries), 0)
    for posting in Posting.objects.filter(entry__in=entries):
        if posting.destination_id == "credit":
            amounts[posting.entry_id] += posting.amount_nusd
        elif posting.source_id == "credit":
            amounts[posting.entry_id] -= posting.amount_nusd
    return [(entry, amounts[entry.pk]) for entry in entries]


def _trail() -> list[tuple[AuditEvent, str, list[tuple[str, str]]]]:
    events = AuditEvent.objects.order_by("-id")[:_SHOWN]
    return [(event, what(event.action), details(event)) for event in events]
