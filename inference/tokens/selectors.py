"""The corrections as requests see them: a snapshot in memory, never waited for.

It is read in the background, at first use and again when it is older than REFRESH_S. Until it
is there, and for cells of which nothing is known, start values stand. While PostgreSQL is down
the last snapshot stands, for as long as evidence would: then start values again.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection
from django_tenants.utils import schema_context

from inference.tokens.factors import basis
from inference.tokens.learning import Cell, Correction
from inference.tokens.models import PromptCorrection

logger = logging.getLogger(__name__)
REFRESH_S = 30.0
FORGET_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """loaded_at: by time.monotonic."""

    corrections: Mapping[Cell, Correction]
    loaded_at: float


_EMPTY = Snapshot({}, float("-inf"))
_current = _EMPTY
_refreshing = threading.Lock()


def correction(cell: Cell) -> Correction | None:
    """What is known of a cell. Takes a microsecond; never waits."""
    age_s = time.monotonic() - _current.loaded_at
    if age_s > REFRESH_S and _refreshing.acquire(blocking=False):
        threading.Thread(target=_refresh, name="prompt-corrections", daemon=True).start()
    return _current.corrections.get(cell) if age_s < FORGET_S else None


def refresh() -> None:
    """Read the snapshot now, in this thread."""
    global _current
    _current = read_snapshot()


def forget() -> None:
    """Back to start values, until the next call has read anew."""
    global _current
    _current = _EMPTY


def read_snapshot() -> Snapshot:
    with schema_context("public"):
        rows = list(PromptCorrection.objects.filter(basis=basis()))
    corrections = {
        (row.ai_model, row.script, row.size): Correction(row.likely, row.most, row.may_lower)
        for row in rows
    }
    return Snapshot(corrections, time.monotonic())


def _refresh() -> None:
    try:
        refresh()
    except Exception as exc:
        logger.warning("Corrections of estimates could not be read; the old ones stand: %s", exc)
        time.sleep(REFRESH_S)
    finally:
        connection.close()
        _refreshing.release()
