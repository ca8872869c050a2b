"""A tenant made by an operator: with its schema, its plan, its first credit, and a mail to its
owner."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agentflare.money import NUSD_PER_USD
from agentflare.redis_store import RedisDownError
from billing.business import credit
from billing.business.models import CreditChange
from billing.business.tenant_actions import CHANGE_CREDIT
from tenants.members.errors import InvitationError
from tenants.members.invitations import invite_as_operator
from tenants.operators.reasons import ReasonForm
from tenants.operators.services import operator, record
from tenants.registry.models import Plan, Tenant
from tenants.registry.services import TenantExistsError, create_tenant
from tenants.registry.slugs import SLUG, propose_slug
from tenants.users.forms import NameField
from tenants.users.models import Role, User


class NewTenantForm(ReasonForm):
    name = NameField(max_length=100)
    slug = forms.CharField(
        label="Address",
        max_length=40,
        required=False,
        help_text="As in /t/acme/. Empty: made from the name.",
    )
    email = forms.EmailField(
        label="Owner’s e-mail address",
        max_length=254,
        help_text="Gets a mail with a link, and becomes the owner by it.",
    )
    plan = forms.ModelChoiceField(
        Plan.objects.all(), required=False, empty_label="The default plan"
    )
    amount = forms.DecimalField(
        label="First credit, in dollars",
        max_digits=12,
        decimal_places=9,
        min_value=0,
        required=False,
        help_text="A gift, which the statement shows. Empty: none.",
    )
    field_order = ("name", "slug", "email", "plan", "amount", "reason")

    def __init__(self, *args: Any, may_give: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = "Kept with your name in the operators’ trail."
        if not may_give:
            del self.fields["amount"]

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        slug = fields.get("slug") or propose_slug(fields.get("name", ""))
        if "name" in fields and not SLUG.fullmatch(slug):
            self.add_error("slug", "Small letters and digits, with hyphens between them.")
        fields["slug"] = slug
        return fields


@staff_member_required
@permission_required("registry.add_tenant", raise_exception=True)
@require_http_methods(["GET", "POST"])
def new_tenant(request: HttpRequest) -> HttpResponse:
    """The same form sent twice makes one tenant: its address is taken then."""
    form = NewTenantForm(
        request.POST or None, may_give=request.user.has_perm(CHANGE_CREDIT), label_suffix=""
    )
    if request.method == "POST" and form.is_valid():
        try:
            tenant = _make(request, form.cleaned_data)
        except TenantExistsError:
            form.add_error("slug", "Another workspace has, or had, this address.")
        else:
            _finish(request, tenant, form.cleaned_data)
            return redirect("admin_tenant", code=tenant.code)
    context = {**admin.site.each_context(request), "title": "New tenant", "form": form}
    return render(request, "admin/new_tenant.html", context)


def _make(request: HttpRequest, fields: dict[str, Any]) -> Tenant:
    """Raises TenantExistsError."""
    try:
        with transaction.atomic():
            record(
                actor=operator(request),
                action="tenant.created",
                subject=fields["slug"],
                reason=fields["reason"],
                owner=fields["email"],
            )
            # Outermost, so that Redis is told after the commit.
            return create_tenant(slug=fields["slug"], name=fields["name"], plan=fields["plan"])
    except RedisDownError:
        # It is there; its standing is read from its row until Redis has it.
        return Tenant.objects.get(slug=fields["slug"])


def _finish(request: HttpRequest, tenant: Tenant, fields: dict[str, Any]) -> None:
    """What can be done again on its page, should it fail."""
    assert isinstance(request.user, User)
    actor = operator(request)
    messages.success(request, f"{tenant} is there, at /t/{tenant.slug}/.")
    try:
        _, is_mailed = invite_as_operator(
            tenant=tenant,
            email=fields["email"],
            role=Role.OWNER,
            by=request.user,
            actor=actor,
            reason=fields["reason"],
        )
        if is_mailed:
            messages.success(request, f"{fields['email']} has a mail with the owner’s link.")
        else:
            messages.warning(request, "The owner’s mail could not be sent: invite again below.")
    except InvitationError as exc:
        messages.error(request, f"The owner was not invited: {exc}")
    if amount := fields.get("amount"):
        try:
            change = credit.ask(
                tenant=tenant,
                amount_nusd=int(amount * NUSD_PER_USD),
                reason=fields["reason"],
                actor=actor,
            )
        except credit.CreditChangeError as exc:
            messages.error(request, f"No credit was given: {exc}")
        else:
            waits = change.state == CreditChange.State.WAITING
            messages.success(
                request,
                "The credit waits for another operator." if waits else "The credit is booked.",
            )
