"""Pages about buying credit: the billing page, the payments, one payment."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from agentflare.redis_store import RedisDownError
from billing.admission.gate import Gate
from billing.admission.services import books
from billing.payments import refunds, upkeep
from billing.payments.accounts import billing_account
from billing.payments.amounts import NUSD_PER_CENT, Quote, dollars, entry, quote, range_of
from billing.payments.checkout import CheckoutError, cancel_top_up, start_top_up
from billing.payments.forms import AlertForm, AutoRechargeForm, RefundForm, TopUpForm
from billing.payments.models import TopUp
from billing.payments.recharge import charged_this_month
from billing.payments.selectors import open_disputes, open_top_ups, payments_page
from billing.payments.sync import BusyPaymentError, PaymentMismatchError
from billing.stripe.client import REFUSED, UNCERTAIN, PaymentsNotSetUpError, hurried, is_set_up
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.registry.models import Tenant

logger = logging.getLogger(__name__)

# The page of a payment that is open looks again so often, then more rarely, then no more.
_QUICK_LOOKS, _QUICK_S, _SLOW_S, _LAST_LOOK = 30, 2, 15, 240


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def billing(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return billing_page(request, workspace)


def billing_page(
    request: HttpRequest, workspace: Workspace, *, status: int = 200, **forms: Any
) -> HttpResponse:
    """The page, with those forms that came back with errors."""
    tenant = workspace.tenant
    account = billing_account()
    bounds = range_of(tenant)
    alert = "" if account.alert_nusd is None else entry(account.alert_nusd // NUSD_PER_CENT)
    context = {
        "gate": _gate(tenant),
        "account": account,
        "is_set_up": is_set_up(),
        "is_test": settings.STRIPE_SECRET_KEY.startswith("sk_test_") and not settings.SANDBOX,
        "top_up_form": TopUpForm(bounds=bounds),
        "auto_form": AutoRechargeForm.of(account, bounds),
        "alert_form": AlertForm(initial={"amount": alert}),
        "open": open_top_ups(),
        "disputes": open_disputes(),
        "page": payments_page(limit=5),
        "charged_nusd": charged_this_month() * NUSD_PER_CENT,
        "cap_nusd": account.auto_cap_cents * NUSD_PER_CENT,
        "tax_name": settings.TOP_UP_TAX_NAME,
        "refund_days": settings.REFUND_DAYS,
        **forms,
    }
    form = context["top_up_form"]
    assert isinstance(form, TopUpForm)
    context.setdefault("quote", quote(form.chosen_cents))
    return render(request, "billing/overview.html", context, status=status)


def _gate(tenant: Tenant) -> Gate | None:
    try:
        return books(tenant)
    except RedisDownError:
        return None


@workspace_page(Permission.MANAGE_BILLING)
@require_GET
def quote_part(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """What the amount that is entered costs: read while it is typed."""
    form = TopUpForm(request.GET, bounds=range_of(workspace.tenant))
    sums: Quote | None = quote(form.cleaned_data["credit_cents"]) if form.is_valid() else None
    context = {"quote": sums, "form": form, "tax_name": settings.TOP_UP_TAX_NAME}
    return render(request, "billing/parts/quote.html", context)


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def top_up(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Begin to buy credit, and go to Stripe's page."""
    form = TopUpForm(request.POST, bounds=range_of(workspace.tenant))
    if not form.is_valid():
        return billing_page(request, workspace, status=422, top_up_form=form)
    try:
        begun = start_top_up(
            tenant=workspace.tenant,
            credit_cents=form.cleaned_data["credit_cents"],
            saves_card=form.cleaned_data["saves_card"],
            actor=workspace.actor,
            form_id=form.cleaned_data["form_id"],
        )
    except (CheckoutError, PaymentsNotSetUpError) as exc:
        messages.error(request, _words(exc))
        return redirect("billing", slug=workspace.slug)
    return redirect("billing_pay", slug=workspace.slug, top_up_id=begun.pk)


def _words(exc: Exception) -> str:
    if isinstance(exc, PaymentsNotSetUpError):
        return "Payments are not set up here, so nothing can be bought."
    return str(exc)


@workspace_page(Permission.MANAGE_BILLING)
@require_GET
def pay(request: HttpRequest, workspace: Workspace, top_up_id: UUID) -> HttpResponse:
    """On to Stripe. A page and no redirect: forms may lead to our own address alone (CSP)."""
    top_up = _find(top_up_id)
    if not top_up.is_open or not top_up.session_url:
        return redirect("billing_payment", slug=workspace.slug, top_up_id=top_up.pk)
    return render(request, "billing/pay.html", {"top_up": top_up})


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def cancel(request: HttpRequest, workspace: Workspace, top_up_id: UUID) -> HttpResponse:
    """Give up a payment that is not finished."""
    _find(top_up_id)
    try:
        with hurried():
            top_up = cancel_top_up(
                tenant=workspace.tenant, top_up_id=top_up_id, actor=workspace.actor
            )
    except (*UNCERTAIN, *RedisDownError, BusyPaymentError, PaymentsNotSetUpError):
        logger.warning("%s of %s is not given up", top_up_id, workspace.slug, exc_info=True)
        messages.error(request, "Stripe does not answer at the moment. Try again in a minute.")
    except PaymentMismatchError:
        logger.warning("%s of %s is not what was asked for", top_up_id, workspace.slug)
    else:
        if not top_up.is_open and top_up.status != top_up.Status.CREDITED:
            messages.success(request, "The payment is canceled. Nothing was charged.")
            return redirect("billing", slug=workspace.slug)
    return redirect("billing_payment", slug=workspace.slug, top_up_id=top_up_id)


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def payments(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    before = request.GET.get("before")
    try:
        page = payments_page(before=UUID(before) if before else None)
    except ValueError:
        raise Http404 from None
    return render(request, "billing/payments.html", {"page": page, "is_later": bool(before)})


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def payment(request: HttpRequest, workspace: Workspace, top_up_id: UUID) -> HttpResponse:
    """One payment. People come back from Stripe here: it asks Stripe what became of it."""
    return payment_page(request, workspace, _refreshed(workspace.tenant, _find(top_up_id)))


@workspace_page(Permission.VIEW_BILLING)
@require_GET
def payment_state(request: HttpRequest, workspace: Workspace, top_up_id: UUID) -> HttpResponse:
    """The part of the page that changes, while the payment is open."""
    looks = request.GET.get("n", "0")
    number = int(looks[:6]) if looks.isdecimal() else 0
    top_up = _refreshed(workspace.tenant, _find(top_up_id))
    if not top_up.is_open:
        # Everything on the page is different now.
        response = HttpResponse()
        response["HX-Refresh"] = "true"
        return response
    context = {"top_up": top_up, **_look(number + 1)}
    return render(request, "billing/parts/state.html", context)


def _look(number: int) -> dict[str, Any]:
    """When the page is to look again."""
    return {
        "look": number,
        "looks_again": number < _LAST_LOOK,
        "wait_s": _QUICK_S if number < _QUICK_LOOKS else _SLOW_S,
    }


def payment_page(
    request: HttpRequest,
    workspace: Workspace,
    top_up: TopUp,
    *,
    form: RefundForm | None = None,
    status: int = 200,
) -> HttpResponse:
    gate = _gate(workspace.tenant)
    most_cents = refunds.refundable_cents(top_up, available_nusd=gate.available) if gate else 0
    context = {
        "top_up": top_up,
        "refunds": top_up.refunds.exclude(status="refused"),
        "disputes": top_up.disputes.all(),
        "gate": gate,
        "most_nusd": most_cents * NUSD_PER_CENT,
        "why_not": refunds.why_not(top_up),
        "refund_form": form or RefundForm(initial={"amount": entry(most_cents)}),
        "refund_days": settings.REFUND_DAYS,
        "tax_name": settings.TOP_UP_TAX_NAME,
        **_look(0),
    }
    return render(request, "billing/payment.html", context, status=status)


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def refund(request: HttpRequest, workspace: Workspace, top_up_id: UUID) -> HttpResponse:
    top_up = _find(top_up_id)
    form = RefundForm(request.POST)
    if form.is_valid():
        try:
            done = refunds.refund_credit(
                tenant=workspace.tenant,
                top_up_id=top_up.pk,
                credit_cents=form.cleaned_data["amount"],
                actor=workspace.actor,
                form_id=form.cleaned_data["form_id"],
            )
        except refunds.RefundError as exc:
            form.add_error("amount", str(exc))
        else:
            if done.status == done.Status.REQUESTED:
                messages.info(request, "This was asked for already; how it stands is shown below.")
            elif done.status == done.Status.FAILED:
                messages.error(
                    request, f"Stripe refused the refund: {done.failure} The credit is back."
                )
            else:
                messages.success(
                    request,
                    f"{dollars(done.amount_cents)} are on their way to your card; banks take "
                    "some days.",
                )
            return redirect("billing_payment", slug=workspace.slug, top_up_id=top_up.pk)
    return payment_page(request, workspace, top_up, form=form, status=422)


def _find(top_up_id: UUID) -> TopUp:
    top_up = TopUp.objects.filter(pk=top_up_id).first()
    if top_up is None:
        raise Http404
    return top_up


def _refreshed(tenant: Tenant, top_up: TopUp) -> TopUp:
    """As Stripe has it, or as we do where it does not answer."""
    try:
        with hurried():
            return upkeep.refresh(tenant, top_up)
    except (*UNCERTAIN, *REFUSED, *RedisDownError, BusyPaymentError, PaymentsNotSetUpError):
        logger.warning("The state of %s of %s is not known", top_up.pk, tenant.slug, exc_info=True)
    except PaymentMismatchError:
        logger.warning("%s of %s is not what was asked for", top_up.pk, tenant.slug)
    return _find(top_up.pk)
