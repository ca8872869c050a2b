"""Mails that are owed: noted in the transaction of their cause, sent once it stands, and tried
again until they are. Whoever dies in between leaves them to the next who looks."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from billing.stripe.models import OwedMail

logger = logging.getLogger(__name__)

# Whoever noted it is at it for so long; then after each failure twice that, up to an hour.
_FIRST_WAIT = timedelta(seconds=60)
_LONGEST_WAIT = timedelta(hours=1)
# Nobody wants to be told later than this.
_KEPT = timedelta(days=3)


def owe(addresses: Iterable[str], *, subject: str, message: str) -> None:
    """A mail to each. Call it in the transaction of what is told."""
    owed = OwedMail.objects.bulk_create(
        OwedMail(
            address=address,
            # No line break of a workspace's name may end the header.
            subject=" ".join(subject.split())[:300],
            message=message,
            next_try_at=timezone.now() + _FIRST_WAIT,
        )
        for address in addresses
    )
    transaction.on_commit(partial(_send_all, [mail.pk for mail in owed]), robust=True)


def send_due() -> int:
    """Those whose next try is due. Returns how many were tried."""
    due = OwedMail.objects.filter(next_try_at__lte=timezone.now()).order_by("id")
    return _send_all(list(due.values_list("pk", flat=True)[:100]))


def _send_all(ids: list[int]) -> int:
    return sum(_send(mail_id) for mail_id in ids)


def _send(mail_id: int) -> bool:
    """Whether it was tried: somebody else may be at it."""
    mail = OwedMail.objects.filter(pk=mail_id).first()
    if mail is None:
        return False
    wait = min(_FIRST_WAIT * 2**mail.attempts, _LONGEST_WAIT)
    is_ours = OwedMail.objects.filter(pk=mail_id, attempts=mail.attempts).update(
        attempts=mail.attempts + 1, next_try_at=timezone.now() + wait
    )
    if not is_ours:
        return False
    try:
        send_mail(
            subject=mail.subject,
            message=mail.message,
            from_email=None,
            recipient_list=[mail.address],
        )
    except OSError as exc:
        logger.warning("A mail to %s was not sent: %s", mail.address, exc)
        if mail.created_at < timezone.now() - _KEPT:
            logger.exception("A mail to %s is given up: %s", mail.address, mail.subject)
            mail.delete()
    else:
        mail.delete()
    return True
