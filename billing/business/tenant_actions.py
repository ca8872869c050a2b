"""What an operator does for a tenant, or to it: forms of its page, each with a reason.

All of it stands in the operators' trail; what the tenant notices, in its own, too.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as BrokerError

from agentflare.money import NUSD_PER_USD
from agentflare.redis_store import RedisDownError
from billing.business import credit
from billing.business.models import CreditChange
from billing.exports.services import ExportRefusedError, request_export
from billing.exports.tasks import make_export_task
from billing.payments.amounts import NUSD_PER_CENT, dollars
from billing.payments.forms import DollarsField
from billing.payments.models import TopUp
from billing.payments.refunds import RefundError, refund_credit
from billing.stripe.client import PaymentsNotSetUpError
from tenants.members import visits
from tenants.members.errors import InvitationError
from tenants.members.invitations import invite_as_operator
from tenants.operators.models import OperatorAction, TenantNote
from tenants.operators.reasons import ReasonForm, reason_given
from tenants.operators.services import operator, record
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import resume_tenant, suspend_tenant
from tenants.users.models import Role, User
from tenants.workspaces.closing import close_workspace, reopen_workspace

CHANGE_CREDIT = "business.add_creditchange"
_PROPOSED_FOR = timedelta(days=1)


class SuspendForm(ReasonForm):
    ends_streams = forms.BooleanField(required=False)


class CreditForm(ReasonForm):
    amount = forms.DecimalField(max_digits=12, decimal_places=9)


class RefundForm(ReasonForm):
    amount = DollarsField(min_value=0)
    form_id = forms.UUIDField()


class CloseForm(ReasonForm):
    address = forms.CharField(max_length=40)


class InviteForm(ReasonForm):
    email = forms.EmailField(max_length=254)
    role = forms.ChoiceField(choices=Role.choices)


class NoteForm(forms.Form):
    text = forms.CharField(max_length=4000, strip=True)


class NotDoneError(Exception):
    """The text is for the operator. Nothing was changed."""


_REFUSALS = (
    *(NotDoneError, credit.CreditChangeError, ExportRefusedError, InvitationError),
    *(RefundError, PaymentsNotSetUpError),
)


def _action(right: str, form_class: type[forms.Form] = ReasonForm) -> Callable[..., Any]:
    """A form of a tenant's page: `change(request, tenant, fields)` does it, and returns what to
    tell; either way back to the page."""

    def decorate(change: Callable[..., str]) -> Callable[..., HttpResponse]:
        @staff_member_required
        @permission_required(right, raise_exception=True)
        @require_POST
        def view(request: HttpRequest, code: str, **kwargs: Any) -> HttpResponse:
            tenant = get_object_or_404(Tenant, code=code)
            form = form_class(request.POST)
            if not form.is_valid():
                for field, faults in form.errors.items():
                    name = field.replace("_", " ").capitalize()
                    messages.error(request, f"{name}: {' '.join(map(str, faults))}")
                return redirect("admin_tenant", code=code)
            try:
                messages.success(request, change(request, tenant, form.cleaned_data, **kwargs))
            except _REFUSALS as exc:
                messages.error(request, str(exc))
            return redirect("admin_tenant", code=code)

        return view

    return decorate


def _despite_redis(request: HttpRequest, change: Callable[[], object]) -> None:
    """What stands in PostgreSQL stands, and the operator hears that calls may not notice."""
    try:
        change()
    except RedisDownError:
        messages.warning(
            request,
            "It is written down, but Redis does not answer and calls may not notice for a minute. "
            "Repeat this.",
        )


# --- standing -----------------------------------------------------------------------


@_action("registry.change_tenant", SuspendForm)
def suspend(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    """Its calls are refused within a second; the tenant reads the reason."""
    actor, ends_streams = operator(request), fields["ends_streams"]

    def change() -> None:
        suspend_tenant(
            tenant=tenant, reason=fields["reason"], actor=actor.name, ends_streams=ends_streams
        )

    _despite_redis(request, change)
    _note(request, tenant, "tenant.suspended", fields["reason"], ends_streams=ends_streams)
    return f"{tenant} is suspended: its calls are refused."


@_action("registry.change_tenant")
def resume(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    actor, reason = operator(request), fields["reason"]
    _despite_redis(request, lambda: resume_tenant(tenant=tenant, actor=actor.name, reason=reason))
    _note(request, tenant, "tenant.resumed", reason)
    return f"{tenant} is served again."


@_action("registry.delete_tenant", CloseForm)
def close(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    if fields["address"] != tenant.slug:
        raise NotDoneError(f"Type its address, {tenant.slug}, to close it. It is as it was.")
    if tenant.closed:
        raise NotDoneError(f"{tenant} is closed already.")
    actor, reason = operator(request), fields["reason"]

    def change() -> None:
        close_workspace(tenant=tenant, actor=actor, reason=reason, action="operator.closed")

    _despite_redis(request, change)
    _note(request, tenant, "tenant.closed", reason)
    return f"{tenant} is closed. Until its data is deleted it can be opened again."


@_action("registry.delete_tenant")
def reopen(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    if not tenant.closed or tenant.closed.deleted_at:
        raise NotDoneError(f"{tenant} is open, or its data is deleted already.")
    actor, reason = operator(request), fields["reason"]

    def change() -> None:
        reopen_workspace(tenant=tenant, actor=actor, reason=reason, action="operator.reopened")

    _despite_redis(request, change)
    _note(request, tenant, "tenant.reopened", reason)
    return f"{tenant} is open again."


# --- money --------------------------------------------------------------------------


@_action(CHANGE_CREDIT, CreditForm)
def change_credit(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    amount_nusd = int(fields["amount"] * NUSD_PER_USD)
    asked = credit.ask(
        tenant=tenant, amount_nusd=amount_nusd, reason=fields["reason"], actor=operator(request)
    )
    if asked.state == CreditChange.State.WAITING:
        return "It waits for another operator, who has to agree."
    return (
        "It is booked, and the tenant’s calls can use it." if amount_nusd > 0 else "It is booked."
    )


@_action(CHANGE_CREDIT, forms.Form)
def decide_credit(
    request: HttpRequest, tenant: Tenant, fields: dict[str, Any], *, change_id: UUID
) -> str:
    """POST decision=agree or refuse."""
    get_object_or_404(CreditChange, pk=change_id, tenant=tenant)
    decides = credit.agree if request.POST.get("decision") == "agree" else credit.refuse
    decided = decides(change_id, actor=operator(request))
    return f"It is {decided.get_state_display().lower()}."


@_action("stripe.change_stripeevent", RefundForm)
def refund(request: HttpRequest, tenant: Tenant, fields: dict[str, Any], *, top_up_id: UUID) -> str:
    """Unused credit of a payment goes back to the card. The form sent twice asks once."""
    with tenant_schema(tenant.code):
        if not TopUp.objects.filter(pk=top_up_id).exists():
            raise Http404
    form_id = fields["form_id"]
    asked = OperatorAction.objects.filter(
        action="refund.requested", detail__form=form_id.hex, tenant_code=tenant.code
    )
    is_repeat = asked.exists()
    if not is_repeat and not _may_ask(request, tenant, fields, top_up_id):
        return (
            f"More than ${settings.CREDIT_ALONE_NUSD // NUSD_PER_USD} takes two operators. Another "
            "one sends the same amount from this page within a day."
        )
    try:
        done = refund_credit(
            tenant=tenant,
            top_up_id=top_up_id,
            credit_cents=fields["amount"],
            actor=operator(request).name,
            form_id=form_id,
            by_operator=True,
        )
    except RefundError as exc:
        _note(request, tenant, "refund.refused", fields["reason"], form=form_id.hex, why=str(exc))
        raise
    if done.status == done.Status.FAILED:
        raise NotDoneError(f"Stripe refused it: {done.failure} The credit is back.")
    if is_repeat:
        return f"This was asked for already. It is {done.get_status_display()}."
    return f"{dollars(done.amount_cents)} are on their way to the card; banks take some days."


@transaction.atomic
def _may_ask(request: HttpRequest, tenant: Tenant, fields: dict[str, Any], top_up_id: UUID) -> bool:
    """Note that the refund is asked for: money that has moved must not be without its reason.

    Above CREDIT_ALONE_NUSD it is only proposed, unless another operator has proposed the same
    before; each proposal serves once.
    """
    detail: dict[str, object] = {
        "form": fields["form_id"].hex,
        "payment": str(top_up_id),
        "credit_cents": fields["amount"],
    }
    if fields["amount"] * NUSD_PER_CENT > settings.CREDIT_ALONE_NUSD:
        # Two who agree at once: one after the other.
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        me = operator(request).name
        others = [
            each
            for each in open_proposals(tenant)
            if each.actor != me
            and each.detail["payment"] == detail["payment"]
            and each.detail["credit_cents"] == detail["credit_cents"]
        ]
        if not others:
            _note(request, tenant, "refund.proposed", fields["reason"], **detail)
            return False
        detail |= {"proposal": others[0].pk, "proposed_by": others[0].actor}
    _note(request, tenant, "refund.requested", fields["reason"], **detail)
    return True


def open_proposals(tenant: Tenant) -> list[OperatorAction]:
    """Of refunds that wait for a second operator, the oldest first."""
    since = timezone.now() - _PROPOSED_FOR
    recent = OperatorAction.objects.filter(tenant_code=tenant.code, created_at__gte=since)
    used = recent.filter(action="refund.requested").values_list("detail__proposal", flat=True)
    proposed = recent.filter(action="refund.proposed").order_by("id")
    return [each for each in proposed if each.pk not in set(used)]


# --- people and data ----------------------------------------------------------------


@_action("registry.add_tenant", InviteForm)
def invite(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    assert isinstance(request.user, User)
    invitation, is_mailed = invite_as_operator(
        tenant=tenant,
        email=fields["email"],
        role=fields["role"],
        by=request.user,
        actor=operator(request),
        reason=fields["reason"],
    )
    _note(
        request,
        tenant,
        "tenant.member_invited",
        fields["reason"],
        email=invitation.email,
        role=invitation.role,
    )
    if not is_mailed:
        return f"{invitation.email} is invited, but the mail could not be sent. Invite again."
    return f"{invitation.email} has a mail with a link, which works for seven days."


@_action("operators.add_tenantnote", NoteForm)
def note(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    TenantNote.objects.create(tenant=tenant, author=operator(request).name, text=fields["text"])
    return "The note is kept. Only operators see it."


@_action("registry.delete_tenant")
def export(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> str:
    """For the tenant's owners and admins to fetch: no operator reads it."""
    actor, reason = operator(request), fields["reason"]
    made = request_export(tenant=tenant, actor=actor, action="operator.exported", reason=reason)
    with suppress(BrokerError, OSError):  # else it is found and started within a minute
        make_export_task.delay(made.pk)
    _note(request, tenant, "tenant.exported", reason)
    return "The export is being made. Its owners and admins find it under Settings → Data."


# --- looking ------------------------------------------------------------------------


@staff_member_required
@permission_required(visits.RIGHT, raise_exception=True)
@require_POST
def visit(request: HttpRequest, code: str) -> HttpResponse:
    """Into the workspace, as one who looks only."""
    tenant = get_object_or_404(Tenant, code=code)
    if not (reason := reason_given(request, why="say why you look at it. Its people read that.")):
        return redirect("admin_tenant", code=code)
    if tenant.closed and tenant.closed.deleted_at:
        messages.error(request, "Its data is deleted: there is nothing to look at.")
        return redirect("admin_tenant", code=code)
    visits.begin(request, tenant, reason=reason)
    return redirect("overview", slug=tenant.slug)


@staff_member_required
@permission_required(visits.RIGHT, raise_exception=True)
@require_POST
def leave(request: HttpRequest, code: str) -> HttpResponse:
    visits.end(request)
    return redirect("admin_tenant", code=code)


def _note(request: HttpRequest, tenant: Tenant, action: str, reason: str, **detail: object) -> None:
    record(
        actor=operator(request),
        action=action,
        subject=tenant.slug,
        reason=reason,
        tenant=tenant,
        **detail,
    )
