"""Pages that change how is paid: card, auto-recharge, details, alerts."""

import logging
from contextlib import suppress

import stripe
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from kombu.exceptions import OperationalError as BrokerError

from agentflare.redis_store import RedisDownError
from billing.payments.accounts import TaxIdError, billing_account, remove_card, save_details
from billing.payments.amounts import NUSD_PER_CENT, range_of
from billing.payments.checkout import CheckoutError, start_card_setup
from billing.payments.forms import AlertForm, AutoRechargeForm, DetailsForm
from billing.payments.low_balance import change_alert
from billing.payments.pages import billing_page
from billing.payments.recharge import change_auto_recharge
from billing.payments.sync import BusyPaymentError, PaymentMismatchError, sync_session
from billing.payments.tasks import look_after_balance_task
from billing.stripe.client import PaymentsNotSetUpError, hurried, is_set_up
from billing.stripe.index import find
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission

logger = logging.getLogger(__name__)
_NOT_SET_UP = "Payments are not set up here."
_SILENT = "Stripe does not answer at the moment. Nothing was changed; try again in a minute."


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def auto_recharge(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    form = AutoRechargeForm(request.POST, bounds=range_of(workspace.tenant))
    if not form.is_valid():
        return billing_page(request, workspace, status=422, auto_form=form)
    data = form.cleaned_data
    if data["enabled"] and not billing_account().has_card:
        form.add_error("enabled", "Save a card first.")
        return billing_page(request, workspace, status=422, auto_form=form)
    change_auto_recharge(
        tenant=workspace.tenant,
        enabled=data["enabled"],
        threshold_nusd=data["threshold"] * NUSD_PER_CENT,
        amount_cents=data["amount"],
        cap_cents=data["cap"],
        actor=workspace.actor,
    )
    _look_soon(workspace)
    state = "on" if data["enabled"] else "off"
    messages.success(request, f"Auto-recharge is {state}.")
    return redirect("billing", slug=workspace.slug)


def _look_soon(workspace: Workspace) -> None:
    """The balance may be low already. Without a broker the next round finds it."""
    with suppress(BrokerError):
        look_after_balance_task.delay(workspace.tenant.code)


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def alert(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    form = AlertForm(request.POST)
    if not form.is_valid():
        return billing_page(request, workspace, status=422, alert_form=form)
    cents = form.cleaned_data["amount"]
    change_alert(
        tenant=workspace.tenant,
        alert_nusd=None if cents is None else cents * NUSD_PER_CENT,
        actor=workspace.actor,
    )
    _look_soon(workspace)
    messages.success(request, "Saved." if cents else "There is no mail about low balances now.")
    return redirect("billing", slug=workspace.slug)


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def card(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Begin to save a card. As a page, for the reason that `pages.pay` names."""
    try:
        url = start_card_setup(tenant=workspace.tenant, actor=workspace.actor)
    except (CheckoutError, PaymentsNotSetUpError) as exc:
        text = str(exc) if isinstance(exc, CheckoutError) else _NOT_SET_UP
        messages.error(request, text)
        return redirect("billing", slug=workspace.slug)
    return render(request, "billing/pay.html", {"session_url": url})


@workspace_page(Permission.MANAGE_BILLING)
@require_GET
def card_saved(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Where Stripe sends people who have saved a card."""
    session_id = request.GET.get("session", "").replace("\0", "")[:100]
    known = find(session_id)
    if known and known.tenant_code == workspace.tenant.code and is_set_up():
        try:
            with hurried():
                sync_session(session_id)
        except (stripe.StripeError, BusyPaymentError, PaymentMismatchError, *RedisDownError):
            logger.warning("A card of %s is not known yet", workspace.slug, exc_info=True)
            messages.warning(request, "Stripe does not answer; the card will be here in a minute.")
        else:
            account = billing_account()
            if account.has_card:
                messages.success(request, f"{account.card_label} is saved.")
    return redirect("billing", slug=workspace.slug)


@workspace_page(Permission.MANAGE_BILLING)
@require_POST
def card_removed(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    try:
        remove_card(tenant=workspace.tenant, actor=workspace.actor)
    except PaymentsNotSetUpError:
        messages.error(request, _NOT_SET_UP)
    except stripe.StripeError:
        messages.error(request, _SILENT)
    else:
        messages.success(request, "The card is removed, here and at Stripe.")
    return redirect("billing", slug=workspace.slug)


@workspace_page(Permission.MANAGE_BILLING)
@require_http_methods(["GET", "POST"])
def details(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """What invoices say about who pays."""
    if request.method == "GET":
        return _details(request, DetailsForm.of(billing_account()))
    form = DetailsForm(request.POST)
    if not form.is_valid():
        return _details(request, form, status=422)
    try:
        is_told = save_details(
            tenant=workspace.tenant, details=form.cleaned_data, actor=workspace.actor
        )
    except TaxIdError as exc:
        form.add_error("tax_id", str(exc))
        return _details(request, form, status=422)
    if is_told or not is_set_up():
        messages.success(request, "Saved. The next invoice says so.")
    else:
        messages.warning(request, "Saved. Stripe did not answer; it is told with the next payment.")
    return redirect("billing_details", slug=workspace.slug)


def _details(request: HttpRequest, form: DetailsForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "account": billing_account()}
    return render(request, "billing/details.html", context, status=status)
