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
        return
    account.auto_state = states.FAILING
    account.auto_next_try_at = timezone.now() + WAITS[account.auto_failures - 1]


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
