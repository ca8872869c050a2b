"""What was admitted in the last minute, as PostgreSQL is told of it in an outage.

By each process of what Redis had admitted for it, and at the end of the outage by PostgreSQL of
its own, so that a Redis that has lost its windows has them again, and an outage that comes just
after another knows all that came before.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction

from billing.admission import gate, outage, peers, recent
from billing.admission.rules import WINDOW_S

# The name under which PostgreSQL's own admissions stand.
_POSTGRESQL = ""
# Sorted, so that two of one process cannot wait for each other.
_TELL = """
INSERT INTO admission_countedsecond AS told
    (redis, process, tenant_code, line_id, asked_model, second, requests, tokens)
SELECT %(redis)s, %(process)s, * FROM unnest(%(tenants)s::text[], %(lines)s::text[],
    %(models)s::text[], %(seconds)s::bigint[], %(requests)s::bigint[], %(tokens)s::bigint[])
 ORDER BY 3, 4, 5, 6
ON CONFLICT (redis, process, tenant_code, line_id, asked_model, second) DO UPDATE
   SET requests = greatest(told.requests, excluded.requests), tokens = excluded.tokens
"""
# As in a window: everything of it is counted that is not a minute old.
_TAKE_OVER = """
INSERT INTO admission_countedsecond AS told
    (redis, process, tenant_code, line_id, asked_model, second, requests, tokens)
SELECT redis, %(postgresql)s, tenant_code, line_id, asked_model,
       floor(extract(epoch FROM admitted_at))::bigint, count(*), sum(tokens)
  FROM admission_fallbackhold
 WHERE redis = %(redis)s AND NOT is_carried
   AND admitted_at > clock_timestamp() - make_interval(secs => %(window)s)
 GROUP BY 1, 3, 4, 5, 6
ON CONFLICT (redis, process, tenant_code, line_id, asked_model, second) DO UPDATE
   SET requests = told.requests + excluded.requests, tokens = told.tokens + excluded.tokens
"""
_ALL = """
SELECT tenant_code, line_id, asked_model, second, process = %(postgresql)s,
       sum(requests)::bigint, sum(tokens)::bigint
  FROM admission_countedsecond
 WHERE redis = %(redis)s
   AND second >= floor(extract(epoch FROM clock_timestamp())) - %(window)s
 GROUP BY 1, 2, 3, 4, 5
"""
_FORGET = """
DELETE FROM admission_countedsecond
 WHERE redis = ANY(%(all)s)
   AND second < floor(extract(epoch FROM clock_timestamp())) - 2 * %(window)s
"""
# Window's key → second → requests and tokens of the processes, and of PostgreSQL.
Windows = dict[str, dict[int, list[int]]]
# By part: of whom, and the version of what this process has told.
_told: dict[int, tuple[str, int]] = {}
# Who comes while another of this process tells waits for that.
_telling = threading.Lock()
_COLUMNS = ("tenants", "lines", "models", "seconds", "requests", "tokens")


def tell(part: int = outage.WHOLE) -> None:
    """PostgreSQL knows what this process has admitted by Redis. Repeats cost nothing."""
    if not _news(part):
        return
    with _telling:
        if news := _news(part):
            _write(part, news[0], recent.snapshot(part))
            _told[part] = news


def _news(part: int) -> tuple[str, int] | None:
    """Whose, and which version, if it has not been told."""
    news = (peers.own_name(), recent.version(part))
    return None if news in {_told.get(part), (news[0], 0)} else news


def _write(part: int, process: str, rows: Sequence[recent.Row]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(_COLUMNS)
    facts: dict[str, Any] = dict(zip(_COLUMNS, columns, strict=True))
    facts["models"] = [model[:120] for model in facts["models"]]
    with connection.cursor() as cursor:
        cursor.execute(_TELL, {"redis": outage.redis_name(part), "process": process, **facts})


def take_over_fallback(part: int = outage.WHOLE) -> None:
    """What PostgreSQL has admitted in this outage outlasts it. Its rows must go with it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TAKE_OVER, _names(part))


def all_windows(part: int = outage.WHOLE) -> Windows:
    """What is known of the last minute, of every tenant."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL, _names(part))
        rows = cursor.fetchall()
    return _by_window(rows)


def forget_old() -> None:
    names = [outage.redis_name(part) for part in outage.parts()]
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"all": names, "window": WINDOW_S})


def _names(part: int) -> dict[str, str | int]:
    return {"redis": outage.redis_name(part), "postgresql": _POSTGRESQL, "window": WINDOW_S}


def _by_window(rows: Iterable[tuple[str, str, str, int, bool, int, int]]) -> Windows:
    windows: Windows = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    for tenant_code, line, model, second, is_postgresql, requests, tokens in rows:
        for window in gate.window_keys(tenant_code, line, model):
            counts = windows[window][second]
            at = 2 * is_postgresql
            counts[at] += requests
            counts[at + 1] += tokens
    return windows
