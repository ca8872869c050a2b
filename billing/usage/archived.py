"""What settlement must know of archives: a call that is in one looks as if it were new."""

import time
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Max

from billing.ledger.services import LedgerError
from billing.usage.events import UsageEvent
from billing.usage.models import UsageArchive

# Records stay in the table for this long at least: a younger event is booked without a look at
# the archives.
BOOKED_LATE = timedelta(days=1)


class ArchivedTimeError(LedgerError):
    """An event of a time that is archived: whether it was booked before, the table cannot tell."""


def refuse_archived(events: Iterable[UsageEvent]) -> None:
    """Raises ArchivedTimeError for a call that may have been booked and archived."""
    oldest = min(event.started_at for event in events)
    if oldest > time.time() - BOOKED_LATE.total_seconds():
        return
    before = UsageArchive.objects.aggregate(before=Max("before"))["before"]
    if before is not None and oldest < before.timestamp():
        raise ArchivedTimeError(f"usage before {before:%Y-%m-%d} is archived")
