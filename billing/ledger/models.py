"""Double entry, tenant's schema. The truth about money; every amount in whole nUSD."""

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class AccountCode(models.TextChoices):
    CREDIT = "credit", "what we owe the tenant"
    STRIPE = "stripe", "bought through Stripe"
    PROMOTION = "promotion", "given by us"
    USAGE = "usage", "spent on calls"
    ADJUSTMENT = "adjustment", "corrections"
    DISPUTE = "dispute", "held back by a disputed payment"


class LedgerAccount(models.Model):
    """An account and its running balance: what came in less what went out.

    `version` counts the entries that touched it; the gate takes the highest only.
    """

    code = models.CharField(max_length=12, choices=AccountCode.choices, primary_key=True)
    balance_nusd = models.BigIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return self.code


class JournalEntry(models.Model):
    """One balanced event. Never edited; corrected by another entry that reverses it."""

    class Kind(models.TextChoices):
        USAGE = "usage"
        GRANT = "grant"
        TOP_UP = "top_up"
        REFUND = "refund"
        DISPUTE = "dispute"
        ADJUSTMENT = "adjustment"

    reference = models.CharField(
        max_length=120, unique=True, help_text="names the cause; booked once"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    memo = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "journal entries"
        # Of the statement's months. Entries come in the order of time: a few pages of it do.
        indexes: ClassVar[list[models.Index]] = [
            BrinIndex(fields=["created_at"], name="entry_by_time", pages_per_range=16),
        ]

    def __str__(self) -> str:
        return self.reference


class Posting(models.Model):
    """One line of an entry: money that goes from one account to another."""

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="postings")
    source = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="outgoing")
    destination = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="incoming"
    )
    amount_nusd = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(amount_nusd__gt=0), name="posting_amount_positive"
            ),
            models.CheckConstraint(
                condition=~models.Q(source=models.F("destination")), name="posting_two_accounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.destination_id}: {self.amount_nusd}"
