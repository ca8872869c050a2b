"""Sums of the calls that were not completed. Call it in the booking's transaction."""

from django.db import connection

_ADD = """
INSERT INTO usage_hourlyends AS sums (hour, key_id, ai_model, "end", is_refused, calls, cost_nusd)
SELECT date_trunc('hour', started_at, 'UTC'), key_id, ai_model, status, false, count(*),
       sum(cost_nusd)
  FROM usage_usagerecord WHERE entry_id = %(entry)s AND status <> 'completed'
 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (hour, key_id, ai_model, "end", is_refused) DO UPDATE SET
    calls = sums.calls + excluded.calls,
    cost_nusd = sums.cost_nusd + excluded.cost_nusd
"""


def add_to_ends(entry_id: int) -> None:
    """Add the newly booked records of an entry."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, {"entry": entry_id})
