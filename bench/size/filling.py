"""A year of usage records in a tenant's schema, made by PostgreSQL itself, with books that agree.

Thirteen keys and five AI models, the first of each with most of the calls; one key, one model and
one way to end are so rare that only a few calls have them.
"""

from datetime import datetime

from django.db import connection

PER_ENTRY = 1_000
_CHUNK = 500_000
SOME_KEY = "keysome0"  # one call in 67
RARE_KEY, RARE_MODEL, RARE_STATUS = "keyrare0", "rare-model", "process_died"
COMMON_KEY, COMMON_MODEL = "key00000", "llama-3.3-70b-fast"

_FK = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
_ENTRIES = """
INSERT INTO ledger_journalentry (id, reference, kind, memo, actor, created_at)
SELECT 1000 + n, 'usage:bench' || n, 'usage', '', '',
       %(start)s + (n + 1) * %(per_entry)s * %(gap)s * interval '1 second'
  FROM generate_series(0, (%(count)s - 1) / %(per_entry)s) n"""
# Which key, model and end: from the digits of a hash, so that each run makes the same.
_RECORDS = """
INSERT INTO usage_usagerecord (request_id, entry_id, key_id, endpoint, ai_model, upstream_model,
    status, truth, is_stream, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
    quantities, neurons, estimated_nusd, cost_nusd, provider_cost_nusd, price_version_id,
    started_at, first_token_ms, duration_ms, attempts, route, upstream, upstream_request_id,
    gateway_log_id, cache_status, finish_reason, error_code, created_at)
SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
            || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
       1000 + n / %(per_entry)s,
       CASE WHEN n %% 1000003 = 7 THEN 'keyrare0' WHEN x %% 67 = 3 THEN 'keysome0'
            ELSE 'key' || lpad((least(x %% 23, 11))::text, 5, '0') END,
       CASE WHEN model = 4 THEN 'embeddings' ELSE 'chat/completions' END,
       CASE WHEN n %% 1000003 = 11 THEN 'rare-model' ELSE
            (ARRAY['llama-3.3-70b-fast', 'gpt-oss-20b', 'qwen-3-30b', 'gemma-4-26b', 'bge-m3'])
            [1 + model] END,
       '@cf/meta/llama-3.3-70b-instruct-fp8-fast',
       CASE WHEN n %% 1000003 = 13 THEN 'process_died' WHEN x %% 50 = 0 THEN 'upstream_failed'
            ELSE 'completed' END,
       'provider', x %% 3 > 0, tokens, 0, tokens / 5, 0, '{}', tokens * 0.03,
       tokens * 1800, tokens * 892, tokens * 743, 1, moment, 80 + x %% 800, 200 + x %% 9000, 1,
       '', 'cloudflare-1', substr(hash, 1, 16) || '-FRA', '01' || upper(substr(hash, 1, 24)),
       'MISS', 'stop', '', moment + interval '10 seconds'
  FROM generate_series(%(first)s, %(last)s) n,
       LATERAL (SELECT md5(n::text) AS hash, hashint8(n)::bigint & 2147483647 AS x) AS h,
       LATERAL (SELECT 50 + x %% 4000 AS tokens, least(x / 31 %% 9, 4) AS model,
                       %(start)s + n * %(gap)s * interval '1 second' AS moment) AS m"""
_SUMS = """
INSERT INTO ledger_posting (entry_id, source_id, destination_id, amount_nusd)
SELECT entry_id, 'credit', 'usage', sum(cost_nusd) FROM usage_usagerecord GROUP BY 1 ORDER BY 1;
UPDATE ledger_ledgeraccount a SET version = version + 1, balance_nusd = balance_nusd
    + CASE code WHEN 'usage' THEN 1 ELSE -1 END * (SELECT sum(cost_nusd) FROM usage_usagerecord)
 WHERE code IN ('credit', 'usage');
INSERT INTO usage_hourlyusage (hour, key_id, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd, provider_cost_nusd)
SELECT date_trunc('hour', started_at, 'UTC'), key_id, ai_model, count(*),
       count(*) FILTER (WHERE status <> 'completed'), sum(input_tokens), sum(cached_input_tokens),
       sum(output_tokens), sum(cost_nusd), sum(provider_cost_nusd)
  FROM usage_usagerecord GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
INSERT INTO usage_dailyusage (day, key_id, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd)
SELECT (hour AT TIME ZONE 'UTC')::date, key_id, ai_model, sum(calls), sum(failed_calls),
       sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(cost_nusd)
  FROM usage_hourlyusage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
INSERT INTO usage_keyspend (line_id, period, cost_nusd)
SELECT key_id, period, sum(cost_nusd)
  FROM usage_hourlyusage,
       LATERAL (VALUES ('life'), (to_char(hour AT TIME ZONE 'UTC', 'YYYYMM')),
                       (to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDD'))) AS p (period)
 GROUP BY 1, 2;
SELECT setval(pg_get_serial_sequence('ledger_journalentry', 'id'),
              (SELECT max(id) FROM ledger_journalentry))"""


def fill(count: int, *, start: datetime, end: datetime) -> None:
    """Call it inside the schema of a tenant that has had credit, and no call yet."""
    values = {
        "start": start,
        "gap": (end - start).total_seconds() / count,
        "count": count,
        "per_entry": PER_ENTRY,
    }
    with connection.cursor() as cursor:
        # One statement for millions of rows would check each row on its own.
        cursor.execute(_FK, ["usage_usagerecord"])
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE usage_usagerecord DROP CONSTRAINT {name}")
        cursor.execute(_ENTRIES, values)
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count) - 1
            cursor.execute(_RECORDS, {**values, "first": first, "last": last})
        cursor.execute(
            "ALTER TABLE usage_usagerecord ADD FOREIGN KEY (entry_id) "
            "REFERENCES ledger_journalentry DEFERRABLE INITIALLY DEFERRED"
        )
        cursor.execute(
            "INSERT INTO ledger_ledgeraccount (code, balance_nusd, version) "
            "VALUES ('usage', 0, 0) ON CONFLICT DO NOTHING"
        )
        cursor.execute(_SUMS)
        for table in (
            "usage_usagerecord",
            "usage_hourlyusage",
            "usage_dailyusage",
            "usage_keyspend",
        ):
            cursor.execute(f"VACUUM ANALYZE {table}")


def sizes() -> dict[str, int]:
    """Bytes of the records, and of each of their indexes. Call it inside the schema."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'records', pg_table_size('usage_usagerecord') UNION ALL "
            "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index "
            "WHERE indrelid = 'usage_usagerecord'::regclass"
        )
        return dict(cursor.fetchall())
