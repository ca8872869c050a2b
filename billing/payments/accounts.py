"""The tenant's billing account: its customer at Stripe, its details, its card."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import stripe
from django.db import transaction

from billing.payments.facts import card_of
from billing.payments.models import BillingAccount
from billing.payments.recharging import drop_waiting
from billing.payments.watch import watch
from billing.stripe.client import REFUSED, UNCERTAIN, client, is_set_up, once, words_of
from billing.stripe.index import find, remember
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import tenant_by_code
from tenants.users.models import Role

logger = logging.getLogger(__name__)

DETAILS = (
    "name", "email", "line1", "line2", "city", "postal_code", "state", "country",
    "tax_id_type", "tax_id",
)  # fmt: skip


class TaxIdError(Exception):
    """Stripe does not take this tax id. Its text is for the reader."""


def billing_account() -> BillingAccount:
    """The tenant's; one that is not kept yet where there is none."""
    return BillingAccount.objects.filter(pk=1).first() or BillingAccount()


def lock_account() -> BillingAccount:
    """The tenant's, locked until the transaction ends. Every change of a payment begins here."""
    BillingAccount.objects.bulk_create([BillingAccount()], ignore_conflicts=True)
    return BillingAccount.objects.select_for_update().get(pk=1)


def ensure_customer(tenant: Tenant) -> BillingAccount:
    """The tenant's customer at Stripe, made where there is none, with the newest details.

    Call it outside of transactions. Raises PaymentsNotSetUpError and Stripe's errors.
    """
    with tenant_schema(tenant.code):
        with transaction.atomic():
            account = lock_account()
        if account.customer_id and account.details_told < account.details_version:
            try:
                return _tell_details(tenant, account)
            except stripe.InvalidRequestError as exc:
                if not is_gone(exc):
                    raise
                account = forget_customer(tenant, account.customer_id)
        if not account.customer_id:
            account = _make_customer(tenant, account)
            if account.details_told < account.details_version:
                account = _tell_details(tenant, account)
    return account


def is_gone(exc: stripe.StripeError) -> bool:
    """Whether Stripe does not know the object that was named."""
    return exc.code == "resource_missing"


def forget_customer(tenant: Tenant, customer_id: str) -> BillingAccount:
    """Stripe does not know this customer: deleted there, or of another account of the operator's.

    Its card is gone with it. What it has paid is still the tenant's. In the tenant's schema.
    """
    with transaction.atomic():
        account = lock_account()
        if account.customer_id == customer_id:
            logger.warning("%s's customer %s is gone at Stripe", tenant.slug, customer_id)
            account.customer_id = account.stripe_tax_id = ""
            # Another key than the last customer was made under.
            account.details_version += 1
            account.forget_card()
            drop_waiting("Not confirmed; the card is not at Stripe any more.")
            account.save()
            watch(tenant.code, account)
    return account


def _make_customer(tenant: Tenant, account: BillingAccount) -> BillingAccount:
    made = client().customers.create(
        {
            **_as_customer(tenant, account),
            "metadata": {"tenant": tenant.code},
        },
        once("customer", tenant.code, account.details_version, _digest(tenant, account)),
    )
    with transaction.atomic():
        locked = lock_account()
        # Two at once: the first one stays, and the other is of no use to anybody.
        if not locked.customer_id:
            locked.customer_id = made.id
            locked.save(update_fields=["customer_id"])
            remember(made.id, tenant.code)
    return locked


def _digest(tenant: Tenant, account: BillingAccount) -> str:
    """Other details under the same key would be refused."""
    return hashlib.sha256(repr(_as_customer(tenant, account)).encode()).hexdigest()[:12]


def _as_customer(tenant: Tenant, account: BillingAccount) -> dict[str, Any]:
    owner = tenant.memberships.filter(role=Role.OWNER).order_by("id").first()
    email = account.email or (owner.user.email if owner else "")
    details: dict[str, Any] = {"name": account.name or tenant.name}
    if email:
        details["email"] = email
    if account.country:
        details["address"] = {
            name: getattr(account, name)
            for name in ("line1", "line2", "city", "postal_code", "state", "country")
        }
    return details


def _tell_details(tenant: Tenant, account: BillingAccount) -> BillingAccount:
    """Raises TaxIdError, and Stripe's errors."""
    version = account.details_version
    what = (tenant.code, version)
    api = client()
    api.customers.update(account.customer_id, _as_customer(tenant, account), once("details", *what))
    stripe_tax_id = ""
    if account.tax_id:
        known = [
            one
            for one in api.customers.tax_ids.list(account.customer_id).data
            if one.type == account.tax_id_type and one.value == account.tax_id
        ]
        try:
            made = (
                known[0]
                if known
                else api.customers.tax_ids.create(
                    account.customer_id,
                    {"type": account.tax_id_type, "value": account.tax_id},
                    once("tax_id", *what),
                )
            )
        except stripe.InvalidRequestError as exc:
            raise TaxIdError(words_of(exc)) from exc
        stripe_tax_id = made.id
    if account.stripe_tax_id and account.stripe_tax_id != stripe_tax_id:
        try:
            api.customers.tax_ids.delete(account.customer_id, account.stripe_tax_id)
        except stripe.InvalidRequestError:
            logger.info("%s was deleted before", account.stripe_tax_id)
    with transaction.atomic():
        locked = lock_account()
        locked.details_told = max(locked.details_told, version)
        locked.stripe_tax_id = stripe_tax_id
        locked.save(update_fields=["details_told", "stripe_tax_id"])
    return locked


def save_details(*, tenant: Tenant, details: Mapping[str, str], actor: str) -> bool:
    """Keep what invoices shall say, and tell Stripe. False: Stripe will be told later.

    Raises TaxIdError when Stripe does not take the tax id: nothing of it is kept then.
    """
    with tenant_schema(tenant.code):
        with transaction.atomic():
            account = lock_account()
            before = {name: getattr(account, name) for name in DETAILS}
            for name in DETAILS:
                setattr(account, name, details.get(name, ""))
            account.details_version += 1
            account.save()
            audit.record(actor=actor, action="billing.details_changed")
        if not is_set_up():
            return False
        try:
            ensure_customer(tenant)
        except TaxIdError:
            with transaction.atomic():
                account = lock_account()
                account.tax_id_type, account.tax_id = before["tax_id_type"], before["tax_id"]
                account.details_version += 1
                account.save()
            raise
        except (*UNCERTAIN, *REFUSED) as exc:
            logger.warning("Stripe was not told %s's details: %s", tenant.slug, exc)
            return False
    return True


def note_card(tenant: Tenant, account: BillingAccount, method: Any) -> None:
    """Keep how a card looks that Stripe has saved. Save the account afterwards."""
    if method.created < account.card_since:
        return
    remember(method.id, tenant.code)
    account.payment_method_id, account.card_since = method.id, method.created
    account.card_brand, account.card_last4 = method.card.brand[:20], method.card.last4
    account.card_exp_month, account.card_exp_year = method.card.exp_month, method.card.exp_year
    if account.auto_state == account.AutoState.FAILING:
        # Another card, another try.
        account.reset_auto()


def remove_card(*, tenant: Tenant, actor: str) -> None:
    """Forget the card, here and at Stripe; auto-recharge ends. A repeat does nothing.

    Raises Stripe's errors where Stripe could not be told: repeat it.
    """
    with tenant_schema(tenant.code):
        method_id = billing_account().payment_method_id
        if not method_id:
            return
        try:
            client().payment_methods.detach(method_id, {}, once("detach", method_id))
        except stripe.InvalidRequestError:
            logger.info("%s was let go before", method_id)
        with transaction.atomic():
            account = lock_account()
            if account.payment_method_id == method_id:
                account.forget_card()
                drop_waiting("Not confirmed; the card was removed.")
                account.save()
                watch(tenant.code, account)
                audit.record(actor=actor, action="card.removed", subject=method_id)


def sync_card(method_id: str) -> str | None:
    """A saved card has changed at Stripe, or is gone. Returns the tenant's code, or None."""
    known = find(method_id)
    if known is None:
        return None
    tenant = tenant_by_code(known.tenant_code)
    method = card_of(method_id)
    with tenant_schema(tenant.code), transaction.atomic():
        account = lock_account()
        if account.payment_method_id == method_id:
            if method is None or method.customer != account.customer_id:
                account.forget_card()
                drop_waiting("Not confirmed; the card was removed.")
            else:
                note_card(tenant, account, method)
            account.save()
            watch(tenant.code, account)
    return tenant.code
