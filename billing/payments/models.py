"""Payments, tenant's schema. Amounts charged are whole cents; credit is cents too, and nUSD by
multiplication: nobody buys a part of a cent."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from agentflare.ids import uuid7
from billing.payments.amounts import NUSD_PER_CENT, Sums, entry


class BillingAccount(models.Model):
    """Who pays, with what, and when by itself. One row; locking it lets one change of a
    tenant's payments happen at a time."""

    class AutoState(models.TextChoices):
        OK = "ok", "on"
        FAILING = "failing", "failed, will be tried again"
        NEEDS_ACTION = "needs_action", "needs the cardholder"
        CAPPED = "capped", "at its monthly cap"
        OFF = "off", "switched off"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    customer_id = models.CharField(max_length=64, blank=True)

    # For invoices.
    name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    line1 = models.CharField(max_length=200, blank=True)
    line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    state = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True)
    tax_id_type = models.CharField(max_length=20, blank=True)
    tax_id = models.CharField(max_length=50, blank=True)
    stripe_tax_id = models.CharField(max_length=64, blank=True)
    # Counts changes of the details, and which of them Stripe has.
    details_version = models.PositiveIntegerField(default=0)
    details_told = models.PositiveIntegerField(default=0)

    # The saved card.
    payment_method_id = models.CharField(max_length=64, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    card_exp_month = models.PositiveSmallIntegerField(null=True)
    card_exp_year = models.PositiveSmallIntegerField(null=True)
    # When Stripe made it: one saved earlier, and told of later, does not take its place.
    card_since = models.PositiveBigIntegerField(default=0)

    auto_enabled = models.BooleanField(default=False)
    auto_threshold_nusd = models.BigIntegerField(default=0)
    auto_amount_cents = models.PositiveIntegerField(default=0)
    auto_cap_cents = models.PositiveIntegerField(default=0)
    auto_state = models.CharField(max_length=12, choices=AutoState.choices, default=AutoState.OK)
    auto_failures = models.PositiveSmallIntegerField(default=0)
    auto_next_try_at = models.DateTimeField(null=True)
    auto_error = models.CharField(max_length=300, blank=True)

    alert_nusd = models.BigIntegerField(null=True)
    alert_told_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name or self.customer_id

    @property
    def has_card(self) -> bool:
        return bool(self.payment_method_id)

    @property
    def card_label(self) -> str:
        return f"{self.card_brand.replace('_', ' ').title()} ending in {self.card_last4}"

    @property
    def card_expires(self) -> str:
        return f"{self.card_exp_month:02}/{self.card_exp_year}" if self.card_exp_year else ""

    def forget_card(self) -> None:
        """And with it auto-recharge, which cannot do without."""
        self.payment_method_id = self.card_brand = self.card_last4 = ""
        self.card_exp_month = self.card_exp_year = None
        self.auto_enabled = False
        self.reset_auto()

    def reset_auto(self) -> None:
        self.auto_state = self.AutoState.OK
        self.auto_failures, self.auto_next_try_at, self.auto_error = 0, None, ""

    def may_recharge(self, now: datetime) -> bool:
        return (
            self.auto_enabled
            and self.has_card
            and self.auto_state != self.AutoState.NEEDS_ACTION
            and (self.auto_next_try_at is None or self.auto_next_try_at <= now)
        )


class TopUp(Sums, models.Model):
    """Credit that is bought: one payment at Stripe."""

    class Kind(models.TextChoices):
        CHECKOUT = "checkout", "Checkout"
        AUTO = "auto", "Auto-recharge"

    class Status(models.TextChoices):
        PENDING = "pending"
        NEEDS_ACTION = "needs_action", "needs you"
        CREDITED = "credited"
        FAILED = "failed"
        EXPIRED = "expired"
        MISMATCH = "mismatch", "being looked into"

    # What may still become of it is looked after.
    OPEN: ClassVar[tuple[str, ...]] = (Status.PENDING, Status.NEEDS_ACTION)

    INVOICE_IS_TRIED = timedelta(days=7)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PENDING)
    credit_cents = models.PositiveIntegerField()
    fee_cents = models.PositiveIntegerField(default=0)
    tax_cents = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3, default="usd")

    session_id = models.CharField(max_length=100, blank=True)
    session_url = models.TextField(blank=True)
    payment_intent_id = models.CharField(max_length=64, blank=True)
    payment_method_id = models.CharField(max_length=64, blank=True)
    charge_id = models.CharField(max_length=64, blank=True)
    card_brand = models.CharField(max_length=20, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    saves_card = models.BooleanField(default=False)
    receipt_url = models.TextField(blank=True)
    invoice_id = models.CharField(max_length=64, blank=True)
    invoice_url = models.TextField(blank=True)
    invoice_pdf = models.TextField(blank=True)

    failure_code = models.CharField(max_length=60, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    # Of the form that asked for it: sent twice, it is asked for once.
    form_id = models.UUIDField(null=True, unique=True)
    expires_at = models.DateTimeField(null=True)
    credited_at = models.DateTimeField(null=True)
    # Counts what was taken over from Stripe: see sync.py.
    version = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(kind="auto", status__in=["pending", "needs_action"]),
                name="top_up_one_recharge_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["payment_intent_id"],
                condition=~models.Q(payment_intent_id=""),
                name="top_up_one_for_a_payment",
            ),
            models.CheckConstraint(
                condition=models.Q(credit_cents__gt=0), name="top_up_of_something"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def reference(self) -> str:
        """Of its journal entry: the payment names it, never an event."""
        return f"stripe:{self.payment_intent_id}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def lacks_invoice(self) -> bool:
        """Stripe makes them a moment after the payment; ours of recharges come later still."""
        return (
            self.status == self.Status.CREDITED
            and not self.invoice_url
            and self.credited_at is not None
            and self.credited_at > timezone.now() - self.INVOICE_IS_TRIED
        )

    def note_invoice(self, invoice: Any) -> None:
        self.invoice_id = invoice.id
        self.invoice_url = invoice.hosted_invoice_url or ""
        self.invoice_pdf = invoice.invoice_pdf or ""

    @property
    def credit_entry(self) -> str:
        """For a form that asks for the same once more."""
        return entry(self.credit_cents)


class Refund(models.Model):
    """Money of a payment that goes back to the card, and its credit with it."""

    class Status(models.TextChoices):
        REQUESTED = "requested", "being prepared"
        TAKEN = "taken", "on its way to Stripe"
        PENDING = "pending", "on its way to your card"
        SUCCEEDED = "succeeded", "refunded"
        FAILED = "failed", "failed; the credit is back"
        REFUSED = "refused"

    # Their credit is out of the ledger.
    BOOKED: ClassVar[tuple[str, ...]] = (Status.TAKEN, Status.PENDING, Status.SUCCEEDED)
    OPEN: ClassVar[tuple[str, ...]] = (Status.REQUESTED, Status.TAKEN, Status.PENDING)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="refunds")
    stripe_id = models.CharField(max_length=64, blank=True)
    # False: begun in Stripe's dashboard, by whoever runs us.
    is_ours = models.BooleanField(default=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.REQUESTED)
    # To the card, with its part of the tax; and what of that is credit.
    amount_cents = models.PositiveIntegerField()
    credit_cents = models.PositiveIntegerField()
    failure = models.CharField(max_length=300, blank=True)
    created_by = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    form_id = models.UUIDField(null=True, unique=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["stripe_id"],
                condition=~models.Q(stripe_id=""),
                name="refund_once",
            ),
        ]

    def __str__(self) -> str:
        return self.stripe_id or str(self.id)

    @property
    def reference(self) -> str:
        """Ours is booked before Stripe knows of it, and so has our name."""
        return f"refund:{self.id.hex}" if self.is_ours else f"stripe:{self.stripe_id}"

    @property
    def credit_nusd(self) -> int:
        return self.credit_cents * NUSD_PER_CENT

    @property
    def amount_nusd(self) -> int:
        return self.amount_cents * NUSD_PER_CENT


class Dispute(models.Model):
    """A payment that the cardholder contests at the bank."""

    class Outcome(models.TextChoices):
        WATCHED = "watched", "asked about, no money has moved"
        OPENED = "opened", "open"
        WON = "won", "won, the credit is back"
        LOST = "lost", "lost"

    # Their credit is out of what can be spent.
    BOOKED: ClassVar[tuple[str, ...]] = (Outcome.OPENED, Outcome.LOST)

    stripe_id = models.CharField(max_length=64, primary_key=True)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="disputes")
    # Stripe's word, and what it means for the money.
    stripe_status = models.CharField(max_length=30)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=60, blank=True)
    amount_cents = models.PositiveIntegerField()
    credit_cents = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return self.stripe_id

    @property
    def credit_nusd(self) -> int:
        return self.credit_cents * NUSD_PER_CENT

    @property
    def amount_nusd(self) -> int:
        return self.amount_cents * NUSD_PER_CENT

    def reference(self, what: str) -> str:
        return f"stripe:{self.stripe_id}:{what}"
