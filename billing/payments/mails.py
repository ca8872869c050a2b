"""Mails about payments, to those who may do something about them.

Each is called in the transaction of what it tells.
"""

from django.conf import settings

from agentflare.money import format_usd
from billing.payments.amounts import dollars
from billing.payments.models import BillingAccount, Dispute, TopUp
from billing.payments.outgoing import owe
from tenants.registry.models import Tenant
from tenants.workspaces.alerts import told_now


def page_of(tenant: Tenant, path: str = "") -> str:
    return f"{settings.AGENTFLARE_URL}/t/{tenant.slug}/billing/{path}"


def people_of(tenant: Tenant) -> list[str]:
    return told_now(tenant)


def _send(tenant: Tenant, subject: str, message: str) -> None:
    owe(people_of(tenant), subject=f"{tenant.name}: {subject}", message=f"{message}\n")


def tell_low_balance(tenant: Tenant, *, alert_nusd: int, left_nusd: int) -> None:
    _send(
        tenant,
        f"less than ${format_usd(alert_nusd)[:-7]} of credit is left",
        f"{tenant.name} has ${format_usd(left_nusd)} of credit left, which is less than the "
        f"${format_usd(alert_nusd)[:-7]} at which you wanted to be told. Without credit, calls "
        f"are refused.\n\nBuy credit: {page_of(tenant)}",
    )


def tell_recharge_failed(tenant: Tenant, account: BillingAccount, top_up: TopUp) -> None:
    amount = dollars(top_up.total_cents)
    if top_up.status == TopUp.Status.NEEDS_ACTION:
        _send(
            tenant,
            f"your bank wants you to confirm a payment of {amount}",
            f"Auto-recharge could not charge {account.card_label}: the bank asks its holder to "
            f"confirm the payment. Nothing was charged.\n\nConfirm it here: {page_of(tenant)}",
        )
        return
    then = "Auto-recharge is switched off now, after several failures."
    if account.auto_next_try_at:
        then = f"It will be tried again after {account.auto_next_try_at:%Y-%m-%d %H:%M} UTC."
    _send(
        tenant,
        f"auto-recharge of {amount} failed",
        f"{account.card_label or 'The saved card'} could not be charged: {top_up.failure}\n\n"
        f"{then} You can use another card, or buy credit yourself: {page_of(tenant)}",
    )


def tell_recharge_capped(tenant: Tenant, account: BillingAccount) -> None:
    _send(
        tenant,
        "auto-recharge is at its monthly cap",
        f"The balance is low, and another {dollars(account.auto_amount_cents)} would be more "
        f"than the {dollars(account.auto_cap_cents)} that auto-recharge may charge in a month. "
        f"It goes on with the next month (UTC).\n\nBuy credit, or change the cap: "
        f"{page_of(tenant)}",
    )


def tell_dispute(tenant: Tenant, dispute: Dispute) -> None:
    amount = dollars(dispute.amount_cents)
    link = page_of(tenant, f"payments/{dispute.top_up_id}/")
    match dispute.outcome:
        case Dispute.Outcome.OPENED:
            _send(
                tenant,
                f"a payment of {amount} is disputed",
                f"A payment of {amount} was contested at the bank. Its credit, "
                f"{dollars(dispute.credit_cents)}, cannot be spent until that is decided; if "
                f"less than that is left, calls are refused until you add credit. Did nobody of "
                f"you mean to contest it, tell the bank so.\n\n{link}",
            )
        case Dispute.Outcome.WON:
            _send(
                tenant,
                f"the dispute about {amount} is over: the credit is back",
                f"The bank has decided that the payment of {amount} stands. Its credit can be "
                f"spent again.\n\n{link}",
            )
        case Dispute.Outcome.LOST:
            _send(
                tenant,
                f"the dispute about {amount} is over: the credit is gone",
                f"The bank has given the payment of {amount} back, and its credit is gone for "
                f"good.\n\n{link}",
            )
