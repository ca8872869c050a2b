"""Sums of the calls that were not completed."""

# Each is counted for its hour and for its day.
BOTH = "(VALUES (false, 'hour'), (true, 'day')) AS sums_of (is_day, width)"
ON_CONFLICT = """
ON CONFLICT (is_day, start, key_id, ai_model, "end", is_refused) DO UPDATE SET
    calls = sums.calls + excluded.calls,
    cost_nusd = sums.cost_nusd + excluded.cost_nusd
"""
# The newly booked records of an entry. In the booking's transaction.
ADD_TO_ENDS = f"""
INSERT INTO usage_usageends AS sums (is_day, start, key_id, ai_model, "end", is_refused, calls,
    cost_nusd)
SELECT is_day, date_trunc(width, started_at, 'UTC'), key_id, ai_model, status, false, count(*),
       sum(cost_nusd)
  FROM usage_usagerecord, {BOTH}
 WHERE entry_id = %(entry)s AND status <> 'completed'
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
{ON_CONFLICT}"""  # noqa: S608  # words of ours alone
