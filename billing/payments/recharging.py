"""What a failed recharge does to the account. State alone; nothing is asked or charged here."""

from datetime import timedelta

from django.utils import timezone

from billing.payments.models import BillingAccount, TopUp

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
