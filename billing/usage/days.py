"""Sums of usage records by UTC day."""

from billing.usage.models import Status

# The newly booked records of an entry. In the booking's transaction.
ADD_TO_DAYS = """
INSERT INTO usage_dailyusage AS sums (day, key_id, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd)
SELECT (started_at AT TIME ZONE 'UTC')::date, key_id, ai_model, count(*),
       count(*) FILTER (WHERE status = ANY(%(failed)s)), sum(input_tokens),
       sum(cached_input_tokens), sum(output_tokens), sum(cost_nusd)
  FROM usage_usagerecord WHERE entry_id = %(entry)s
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (day, key_id, ai_model) DO UPDATE SET
    calls = sums.calls + excluded.calls,
    failed_calls = sums.failed_calls + excluded.failed_calls,
    input_tokens = sums.input_tokens + excluded.input_tokens,
    cached_input_tokens = sums.cached_input_tokens + excluded.cached_input_tokens,
    output_tokens = sums.output_tokens + excluded.output_tokens,
    cost_nusd = sums.cost_nusd + excluded.cost_nusd
"""
FAILED = [Status.UPSTREAM_FAILED, Status.UPSTREAM_BROKE, Status.PROCESS_DIED]
