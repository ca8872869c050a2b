"""What becomes of a recharge that failed. State alone; nothing is asked or charged here."""

from datetime import timedelta

from django.utils import timezone

from billing.payments.models import BillingAccount, TopUp
from billing.payments.opened import close_if_over

# After the first failure, the second, the third. After one more it is switched off.
WAITS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))


def note_failed_recharge(account: BillingAccount, top_up: TopUp, *, needs_holder: bool) -> None:
    """The charge was declined, or its holder is asked for. Save both afterwards.

    Call it once for a top-up: while it is pending.
    """
    states = BillingAccount.AutoState
    account.auto_error = top_up.failure[:300]
    if needs_holder:
        top_up.status = TopUp.Status.NEEDS_ACTION
        account.auto_state, account.auto_next_try_at = states.NEEDS_ACTION, None
        return
    top_up.status = TopUp.Status.FAILED
    account.auto_failures += 1
    if account.auto_failures > len(WAITS):
        account.auto_state, account.auto_next_try_at = states.OFF, None
        account.auto_enabled = False
        account.auto_error = f"It failed {account.auto_failures} times. {top_up.failure}"[:300]
        return
    account.auto_state = states.FAILING
    account.auto_next_try_at = timezone.now() + WAITS[account.auto_failures - 1]


def stop_after_dispute(account: BillingAccount) -> None:
    """The bank says that the card's holder has not agreed: a person must begin anew.

    Under the account's lock; save it afterwards.
    """
    if account.auto_enabled:
        account.auto_enabled = False
        account.auto_state, account.auto_next_try_at = BillingAccount.AutoState.OFF, None
        account.auto_error = "A payment was contested at the bank, which has given it back."
    drop_waiting("Not confirmed; a payment was given back by the bank.")


def drop_waiting(failure: str, *, but: TopUp | None = None) -> int:
    """A recharge that waits for the cardholder is not needed any more. Returns how many.

    Under the account's lock.
    """
    waiting = TopUp.objects.filter(status=TopUp.Status.NEEDS_ACTION)
    dropped = 0
    for top_up in waiting.exclude(pk=but.pk) if but else waiting:
        top_up.status, top_up.failure = TopUp.Status.FAILED, failure
        top_up.version += 1
        top_up.save(update_fields=["status", "failure", "version"])
        close_if_over(top_up)
        dropped += 1
    return dropped
