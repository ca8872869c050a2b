"""From what Stripe has into ledger and rows. In the tenant's schema, under the account's lock.

Every entry is named after the payment, refund or dispute that it is of, so whatever is told
twice, late or in another order is booked once.
"""

from typing import Any
from uuid import UUID

from django.utils import timezone

from billing.ledger.models import AccountCode, JournalEntry
from billing.ledger.services import Line, post_entry
from billing.payments.facts import note_in
from billing.payments.models import BillingAccount, Dispute, Refund, TopUp

# Stripe's words for disputes.
_OPEN = ("needs_response", "under_review")
_REFUND_STATUS = {
    "pending": Refund.Status.PENDING,
    "requires_action": Refund.Status.PENDING,
    "succeeded": Refund.Status.SUCCEEDED,
    "failed": Refund.Status.FAILED,
    "canceled": Refund.Status.FAILED,
}


def book_top_up(top_up: TopUp, *, actor: str) -> bool:
    """Stripe's money becomes credit. False: it had before."""
    card = f", card ending in {top_up.card_last4}" if top_up.card_last4 else ""
    _, is_new = post_entry(
        reference=top_up.reference,
        kind=JournalEntry.Kind.TOP_UP,
        lines=[Line(AccountCode.STRIPE, AccountCode.CREDIT, top_up.credit_nusd)],
        memo=f"{top_up.get_kind_display()}{card}"[:200],
        actor=actor,
    )
    return is_new


def standing_cents(top_up: TopUp) -> int:
    """The payment's credit that was neither paid back nor is disputed."""
    refunded = top_up.refunds.filter(status__in=Refund.BOOKED)
    disputed = top_up.disputes.filter(outcome__in=Dispute.BOOKED)
    gone = sum(refund.credit_cents for refund in refunded)
    gone += sum(dispute.credit_cents for dispute in disputed)
    return max(0, top_up.credit_cents - gone)


# --- Refunds ----------------------------------------------------------------------


def book_refund(refund: Refund, *, memo: str) -> None:
    """Its credit goes back to where it came from."""
    if refund.credit_nusd:
        post_entry(
            reference=refund.reference,
            kind=JournalEntry.Kind.REFUND,
            lines=[Line(AccountCode.CREDIT, AccountCode.STRIPE, refund.credit_nusd)],
            memo=memo,
            actor=refund.created_by,
        )


def reverse_refund(refund: Refund, *, failure: str) -> None:
    """It did not go through: the credit is the tenant's again."""
    if refund.credit_nusd and refund.status in Refund.BOOKED:
        post_entry(
            reference=f"{refund.reference}:failed",
            kind=JournalEntry.Kind.REFUND,
            lines=[Line(AccountCode.STRIPE, AccountCode.CREDIT, refund.credit_nusd)],
            memo="A refund that did not go through",
            actor="stripe",
        )
    refund.status, refund.failure = Refund.Status.FAILED, failure[:300]
    refund.ended_at = timezone.now()
    refund.save()


def take_refund(top_up: TopUp, told: Any) -> None:
    """What Stripe has of one refund becomes ours."""
    refund = _refund_of(top_up, told)
    if refund.status in (Refund.Status.REFUSED, Refund.Status.FAILED):
        # It was reversed when Stripe said so; nothing follows.
        return
    status = _REFUND_STATUS.get(told.status, Refund.Status.PENDING)
    if status == Refund.Status.FAILED:
        reverse_refund(refund, failure=getattr(told, "failure_reason", None) or told.status)
        return
    refund.status = status
    if status == Refund.Status.SUCCEEDED and refund.ended_at is None:
        refund.ended_at = timezone.now()
    refund.save()


def _refund_of(top_up: TopUp, told: Any) -> Refund:
    """Ours by its metadata; else one that began at Stripe, whose credit is taken now.

    As that may be more than what is unspent, the balance may go below zero.
    """
    known = top_up.refunds.filter(stripe_id=told.id).first()
    if known:
        return known
    ours = _uuid(note_in(told, "refund"))
    mine = top_up.refunds.filter(pk=ours, stripe_id="").first() if ours else None
    if mine:
        mine.stripe_id = told.id
        return mine
    refund = Refund(
        top_up=top_up,
        stripe_id=told.id,
        is_ours=False,
        status=Refund.Status.PENDING,
        amount_cents=told.amount,
        # Credit first, then fee and tax.
        credit_cents=min(told.amount, standing_cents(top_up)),
        created_by="stripe",
    )
    if _REFUND_STATUS.get(told.status) == Refund.Status.FAILED:
        refund.credit_cents = 0
    refund.save()
    book_refund(refund, memo="Refunded by the operator")
    return refund


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


# --- Disputes ---------------------------------------------------------------------


# Where a disputed payment's credit is.
_ACCOUNT: dict[str, AccountCode] = {
    Dispute.Outcome.OPENED: AccountCode.DISPUTE,
    Dispute.Outcome.WON: AccountCode.CREDIT,
    Dispute.Outcome.LOST: AccountCode.STRIPE,
}


def outcome_of(told: Any) -> str:
    """What a dispute means for the money. Inquiries and prevented ones move none."""
    if told.status in _OPEN:
        return Dispute.Outcome.OPENED
    if told.status in ("won", "lost"):
        return str(told.status)
    return Dispute.Outcome.WATCHED


def take_dispute(top_up: TopUp, told: Any) -> Dispute | None:
    """What Stripe has of one dispute becomes ours. Returns it where its outcome is news."""
    outcome = outcome_of(told)
    dispute = top_up.disputes.filter(pk=told.id).first() or Dispute(
        stripe_id=told.id,
        top_up=top_up,
        reason=told.reason or "",
        amount_cents=told.amount,
        outcome=Dispute.Outcome.WATCHED,
    )
    dispute.stripe_status = told.status
    before, was_new = dispute.outcome, dispute._state.adding
    if outcome != before and outcome != Dispute.Outcome.WATCHED:
        _move(top_up, dispute, before, outcome)
    dispute.outcome = outcome if outcome != Dispute.Outcome.WATCHED or was_new else before
    if dispute.outcome in (Dispute.Outcome.WON, Dispute.Outcome.LOST) and not dispute.closed_at:
        dispute.closed_at = timezone.now()
    dispute.save()
    return dispute if outcome != before else None


def _move(top_up: TopUp, dispute: Dispute, before: str, outcome: str) -> None:
    """Opened, then won or lost: each once, also when only the end was heard of.

    Banks change their minds: what was lost may be won in the end, and the other way round.
    """
    if before in (Dispute.Outcome.WATCHED, Dispute.Outcome.WON):
        dispute.credit_cents = min(dispute.amount_cents, standing_cents(top_up))
    if before == Dispute.Outcome.WATCHED:
        _post(dispute, "opened", AccountCode.CREDIT, AccountCode.DISPUTE, "A payment is disputed")
        before = Dispute.Outcome.OPENED
    if outcome != before:
        what = outcome if before == Dispute.Outcome.OPENED else f"{before}:{outcome}"
        memo = "A payment is disputed again"
        if outcome != Dispute.Outcome.OPENED:
            memo = f"A dispute was {outcome}"
        _post(dispute, what, _ACCOUNT[before], _ACCOUNT[outcome], memo)


def _post(
    dispute: Dispute, what: str, source: AccountCode, destination: AccountCode, memo: str
) -> None:
    if dispute.credit_nusd:
        post_entry(
            reference=dispute.reference(what),
            kind=JournalEntry.Kind.DISPUTE,
            lines=[Line(source, destination, dispute.credit_nusd)],
            memo=memo,
            actor="stripe",
        )


def reset_after_payment(account: BillingAccount) -> None:
    """A payment went through: auto-recharge begins anew, whatever it stumbled over."""
    if account.auto_state != BillingAccount.AutoState.OFF:
        account.reset_auto()
