"""What calls cost us, by account, upstream's name of the AI model, and UTC day.

For the comparison with the provider's own count.
"""

# The newly booked records of an entry. In the booking's transaction.
ADD_TO_UPSTREAMS = """
INSERT INTO usage_upstreamusage AS sums (day, upstream, upstream_model, calls, provider_cost_nusd)
SELECT (started_at AT TIME ZONE 'UTC')::date, upstream, upstream_model, count(*),
       sum(provider_cost_nusd)
  FROM usage_usagerecord WHERE entry_id = %(entry)s
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (day, upstream, upstream_model) DO UPDATE SET
    calls = sums.calls + excluded.calls,
    provider_cost_nusd = sums.provider_cost_nusd + excluded.provider_cost_nusd
"""
