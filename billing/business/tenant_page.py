"""All that helps a tenant within a minute, on one page; and what an operator can do about it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from agentflare.client_ip import client_ip
from agentflare.money import NUSD_PER_USD
from agentflare.redis_store import RedisDownError
from billing.admission.selectors import running_holds
from billing.admission.services import books
from billing.business import credit
from billing.business.models import CreditChange, TenantState
from billing.dashboard.overview import spending
from billing.ledger.models import JournalEntry, Posting
from billing.payments.models import BillingAccount, TopUp
from billing.usage.selectors import recent_calls
from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.audit.words import details, what
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import resume_tenant, suspend_tenant
from tenants.users.models import Membership, User

_SHOWN = 10
_CHANGE = "business.add_creditchange"


class SuspendForm(forms.Form):
    reason = forms.CharField(max_length=200, strip=True)


class CreditForm(forms.Form):
    amount = forms.DecimalField(max_digits=12, decimal_places=9)
    reason = forms.CharField(max_length=200, strip=True)


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
            "payments": list(TopUp.objects.order_by("-id")[:_SHOWN]),
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
        "limits": tenant.limits,
        "changes": list(CreditChange.objects.filter(tenant=tenant)[:_SHOWN]),
        "may_change": request.user.has_perm("registry.change_tenant"),
        "may_change_credit": request.user.has_perm(_CHANGE),
        "alone_nusd": settings.CREDIT_ALONE_NUSD,
        "stripe_url": "https://dashboard.stripe.com/customers/",
    }
    return render(request, "admin/tenant.html", context)


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


@staff_member_required
@permission_required("registry.change_tenant", raise_exception=True)
@require_POST
def suspend(request: HttpRequest, code: str) -> HttpResponse:
    """Its calls are refused within a second; the tenant reads the reason."""
    form = SuspendForm(request.POST)

    def change(tenant: Tenant) -> str:
        suspend_tenant(
            tenant=tenant, reason=form.cleaned_data["reason"], actor=_actor(request).name
        )
        return f"{tenant} is suspended: its calls are refused."

    return _do(request, code, form, change)


@staff_member_required
@permission_required("registry.change_tenant", raise_exception=True)
@require_POST
def resume(request: HttpRequest, code: str) -> HttpResponse:
    def change(tenant: Tenant) -> str:
        resume_tenant(tenant=tenant, actor=_actor(request).name)
        return f"{tenant} is served again."

    return _do(request, code, forms.Form(request.POST), change)


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def change_credit(request: HttpRequest, code: str) -> HttpResponse:
    form = CreditForm(request.POST)

    def change(tenant: Tenant) -> str:
        amount_nusd = int(form.cleaned_data["amount"] * NUSD_PER_USD)
        asked = credit.ask(
            tenant=tenant,
            amount_nusd=amount_nusd,
            reason=form.cleaned_data["reason"],
            actor=_actor(request),
        )
        if asked.state == CreditChange.State.WAITING:
            return "It waits for another operator, who has to agree."
        return (
            "It is booked, and the tenant's calls can use it."
            if amount_nusd > 0
            else "It is booked."
        )

    return _do(request, code, form, change)


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def decide_credit(request: HttpRequest, code: str, change_id: UUID) -> HttpResponse:
    """POST decision=agree or refuse."""
    get_object_or_404(CreditChange, pk=change_id, tenant__code=code)
    decides = credit.agree if request.POST.get("decision") == "agree" else credit.refuse

    def change(tenant: Tenant) -> str:
        decided = decides(change_id, actor=_actor(request))
        return f"It is {decided.get_state_display().lower()}."

    return _do(request, code, forms.Form(request.POST), change)


def _do(
    request: HttpRequest, code: str, form: forms.Form, change: Callable[[Tenant], str]
) -> HttpResponse:
    """Change it and say so, or say why not; either way back to the page."""
    tenant = get_object_or_404(Tenant, code=code)
    if not form.is_valid():
        for field, faults in form.errors.items():
            messages.error(request, f"{field.capitalize()}: {' '.join(map(str, faults))}")
        return redirect("admin_tenant", code=code)
    try:
        messages.success(request, change(tenant))
    except credit.CreditChangeError as exc:
        messages.error(request, str(exc))
    except RedisDownError:
        messages.warning(
            request,
            "It is written down, but Redis does not answer and calls may not notice for a minute. "
            "Repeat this.",
        )
    return redirect("admin_tenant", code=code)


def _actor(request: HttpRequest) -> Actor:
    user: Any = request.user
    assert isinstance(user, User)
    return Actor(user.email, ip=client_ip(request), user_id=user.pk)
