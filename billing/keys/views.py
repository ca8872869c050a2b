"""/v1/keys: API keys managed by a program that has a key with the scope `admin`."""

from typing import Any

from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, read_params
from agentflare.client_ip import client_ip
from agentflare.errors import InvalidRequestError, KeyEndedError, NotFoundError
from billing.account.queries import page_size
from billing.keys.objects import key_object
from billing.keys.params import CreateKeyParams, RotateKeyParams, UpdateKeyParams
from billing.usage.budgets import spent_by
from tenants.audit.services import Actor
from tenants.keys import services
from tenants.keys.lookup import KeyRecord
from tenants.keys.models import ApiKey, Scope
from tenants.keys.settings import KeySettingError
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import tenant_by_code

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


class _KeysView(ApiView):
    scope = Scope.ADMIN

    def tenant(self, request: Request) -> Tenant:
        return tenant_by_code(_record(request).tenant_code)

    def actor(self, request: Request) -> Actor:
        record = _record(request)
        return Actor(f"key {record.prefix}", client_ip(request._request))

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, ApiKey.DoesNotExist):
            exc = NotFoundError("There is no such API key.", code="api_key_not_found")
        elif isinstance(exc, KeySettingError):
            field = _PARAMS.get(exc.field, exc.field)
            exc = InvalidRequestError(
                f"Invalid value for '{field}': it takes {exc}.", param=field, code="invalid_value"
            )
        elif isinstance(exc, services.KeyEndedError):
            exc = KeyEndedError(str(exc))
        return super().handle_exception(exc)


class KeyListView(_KeysView):
    def get(self, request: Request) -> JsonResponse:
        """Newest first, revoked ones too; `after` is the id of the last one seen."""
        limit = page_size(request.query_params, default=PAGE_SIZE, most=MAX_PAGE_SIZE)
        rows = services.list_api_keys(tenant=self.tenant(request))
        if after := request.query_params.get("after"):
            ids = [row.key_id for row in rows]
            if after not in ids:
                raise InvalidRequestError("There is no such API key.", param="after")
            rows = rows[ids.index(after) + 1 :]
        page = rows[:limit]
        data = _objects(page, request)
        return JsonResponse(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": len(rows) > len(page),
            }
        )

    def post(self, request: Request) -> JsonResponse:
        params = read_params(request, CreateKeyParams)
        row, key = services.create_api_key(
            tenant=self.tenant(request),
            actor=self.actor(request),
            maker_id=_record(request).key_id,
            **params.settings(),
        )
        return JsonResponse({**_object(row, request), "key": key}, status=201)


class KeyView(_KeysView):
    def get(self, request: Request, key_id: str) -> JsonResponse:
        row = services.get_api_key(tenant=self.tenant(request), key_id=key_id)
        return JsonResponse(_object(row, request))

    def post(self, request: Request, key_id: str) -> JsonResponse:
        params = read_params(request, UpdateKeyParams)
        row = services.update_api_key(
            tenant=self.tenant(request),
            key_id=key_id,
            actor=self.actor(request),
            **params.settings(),
        )
        return JsonResponse(_object(row, request))

    def delete(self, request: Request, key_id: str) -> JsonResponse:
        row = services.revoke_api_key(
            tenant=self.tenant(request), key_id=key_id, actor=self.actor(request)
        )
        return JsonResponse({"id": row.key_id, "object": "api_key.deleted", "deleted": True})


class KeyRotationView(_KeysView):
    def post(self, request: Request, key_id: str) -> JsonResponse:
        params = read_params(request, RotateKeyParams)
        row, key = services.rotate_api_key(
            tenant=self.tenant(request),
            key_id=key_id,
            actor=self.actor(request),
            overlap_s=params.overlap_s,
        )
        return JsonResponse({**_object(row, request), "key": key}, status=201)


# The row's names for what the API calls otherwise.
_PARAMS = {
    "ai_models": "models",
    "ai_model_limits": "model_limits",
    "day_budget_nusd": "budgets.day",
    "month_budget_nusd": "budgets.month",
    "life_budget_nusd": "budgets.life",
    "requests_per_minute": "limits.requests_per_minute",
    "tokens_per_minute": "limits.tokens_per_minute",
    "concurrent_calls": "limits.concurrent_calls",
}


def _record(request: Request) -> KeyRecord:
    assert isinstance(request.auth, KeyRecord)
    return request.auth


def _object(row: ApiKey, request: Request) -> dict[str, Any]:
    (told,) = _objects([row], request)
    return told


def _objects(rows: list[ApiKey], request: Request) -> list[dict[str, Any]]:
    with tenant_schema(_record(request).tenant_code):
        spent = spent_by(row.line_id for row in rows)
    return [key_object(row, spent[row.line_id]) for row in rows]
