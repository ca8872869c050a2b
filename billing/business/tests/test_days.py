"""The sums by day, when there are many."""

from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from billing.business.figures import first_day
from billing.business.models import TenantDay

_FILL = """
INSERT INTO business_tenantday (day, tenant_code, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd, provider_cost_nusd)
SELECT %s::date - number / 200, 't' || number %% 200, 'model-' || model, 1, 0, 1, 0, 1, 1, 1
  FROM generate_series(0, 200 * 30 - 1) AS number, generate_series(1, 5) AS model;
ANALYZE business_tenantday"""


def test_what_a_model_was_used_is_found_without_reading_those_of_others(acme: Any) -> None:
    days = TenantDay.objects.filter(ai_model="model-3", day__gte=first_day(30))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_FILL, [first_day(1) - timedelta(days=1)])
        plan = days.values("ai_model").annotate(calls=Sum("calls"), nusd=Sum("cost_nusd")).explain()
        transaction.set_rollback(True)
    assert "business_day_by_model" in plan
