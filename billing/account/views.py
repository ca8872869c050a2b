"""What a workspace has, holds and has used, for a program with a key of the scope `usage`."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse
from agentflare.money import format_usd
from billing.account.queries import choice, invalid, moment
from billing.admission.selectors import RunningHold, running_holds
from billing.admission.services import books
from billing.usage.selectors import Bucket, usage_buckets
from tenants.keys.format import key_prefix
from tenants.keys.lookup import KeyRecord
from tenants.keys.models import Scope
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import tenant_by_code

WIDTHS = {"1h": "hour", "1d": "day"}
GROUPS = {"model": "ai_model", "api_key_id": "key_id"}
_DEFAULT_SPAN = {"1h": timedelta(days=1), "1d": timedelta(days=30)}
_MAX_SPAN = {"1h": timedelta(days=31), "1d": timedelta(days=366)}


class AccountView(ApiView):
    scope = Scope.USAGE

    def tenant_code(self, request: Request) -> str:
        assert isinstance(request.auth, KeyRecord)
        return request.auth.tenant_code


class BalanceView(AccountView):
    """GET /v1/balance: what may be spent, and what stands in its way."""

    def get(self, request: Request) -> JsonResponse:
        gate = books(tenant_by_code(self.tenant_code(request)))
        return JsonResponse(
            {
                "object": "balance",
                "currency": "USD",
                "posted": format_usd(gate.posted),
                "held": format_usd(gate.held),
                "unsettled": format_usd(gate.unsettled),
                "available": format_usd(gate.available),
            }
        )


class HoldListView(AccountView):
    """GET /v1/holds: the credit that running calls have reserved, the oldest first."""

    def get(self, request: Request) -> JsonResponse:
        data = [_hold_object(hold) for hold in running_holds(self.tenant_code(request))]
        return JsonResponse({"object": "list", "data": data, "has_more": False})


class UsageView(AccountView):
    """GET /v1/usage: sums by hour or day, of all or by model and API key."""

    def get(self, request: Request) -> JsonResponse:
        query = request.query_params
        width = choice(query.get("bucket_width", "1d"), WIDTHS, param="bucket_width")
        end = moment(query, "end_time") or datetime.now(UTC)
        start = moment(query, "start_time") or end - _DEFAULT_SPAN[width]
        if not timedelta(0) < end - start <= _MAX_SPAN[width]:
            raise invalid(
                "start_time", f"a time before end_time, at most {_MAX_SPAN[width].days} days"
            )
        groups = [
            choice(name, GROUPS, param="group_by")
            for name in ",".join(query.getlist("group_by")).split(",")
            if name
        ]
        with tenant_schema(self.tenant_code(request)):
            buckets = usage_buckets(
                start=start,
                end=end,
                width=WIDTHS[width],
                groups={GROUPS[name] for name in groups},
            )
        data = [_bucket_object(bucket) for bucket in buckets]
        return JsonResponse({"object": "list", "data": data, "has_more": False})


def _hold_object(hold: RunningHold) -> dict[str, Any]:
    return {
        "object": "hold",
        "request_id": f"req_{UUID(hold.request_id).hex}",
        "amount": format_usd(hold.amount_nusd),
        "cost_so_far": format_usd(hold.cost_nusd),
        "created_at": int(hold.since.timestamp()),
        "age_s": hold.age_ms // 1000,
        "endpoint": hold.event.endpoint,
        "model": hold.event.ai_model,
        "api_key_prefix": key_prefix(hold.tenant_code, hold.event.key_id),
    }


def _bucket_object(bucket: Bucket) -> dict[str, Any]:
    return {
        "object": "bucket",
        "start_time": bucket.start_s,
        "model": bucket.ai_model,
        "api_key_id": bucket.key_id,
        "requests": bucket.calls,
        "failed_requests": bucket.failed_calls,
        "input_tokens": bucket.input_tokens,
        "input_cached_tokens": bucket.cached_input_tokens,
        "output_tokens": bucket.output_tokens,
        "cost": format_usd(bucket.cost_nusd),
    }
