"""Whatever was begun and has not ended is looked after, whoever died and whatever got lost."""

from uuid import UUID

from billing.payments.checkout import give_up
from billing.payments.invoices import make_invoice
from billing.payments.models import Refund, TopUp
from billing.payments.opened import put_off
from billing.payments.recharge import resume_recharge
from billing.payments.refunds import resume_refund
from billing.payments.sync import sync_payment, sync_session
from billing.stripe.models import OpenPayment
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import tenant_by_code


def look_after(payment_id: UUID) -> None:
    """Bring one open top-up or refund on. Raises Stripe's errors: it is looked at again later."""
    payment = OpenPayment.objects.filter(pk=payment_id).first()
    if payment is None:
        return
    put_off(payment)
    tenant = tenant_by_code(payment.tenant_code)
    with tenant_schema(tenant.code):
        if payment.kind == OpenPayment.Kind.REFUND:
            if Refund.objects.filter(pk=payment_id).exists():
                resume_refund(tenant, payment_id)
            return
        top_up = TopUp.objects.get(pk=payment_id)
        if top_up.is_open:
            _look_after_top_up(tenant, top_up)
        elif top_up.lacks_invoice:
            _see_to_invoice(tenant, top_up)
        else:
            payment.delete()


def _look_after_top_up(tenant: Tenant, top_up: TopUp) -> None:
    if top_up.session_id:
        sync_session(top_up.session_id)
    elif top_up.kind == TopUp.Kind.CHECKOUT:
        give_up(top_up.pk, "Stripe’s page was never opened.")
    elif top_up.payment_intent_id:
        sync_payment(top_up.payment_intent_id)
    else:
        resume_recharge(tenant, top_up)


def _see_to_invoice(tenant: Tenant, top_up: TopUp) -> None:
    if top_up.kind == TopUp.Kind.AUTO:
        make_invoice(tenant, top_up)
    else:
        sync_payment(top_up.payment_intent_id)


def refresh(tenant: Tenant, top_up: TopUp) -> TopUp:
    """As Stripe has it now: for the page that the cardholder comes back to."""
    if top_up.is_open:
        _look_after_top_up(tenant, top_up)
        top_up = TopUp.objects.get(pk=top_up.pk)
    return top_up
