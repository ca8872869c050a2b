"""API keys, as a workspace's people make and look after them. /v1/keys is the same for programs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import get_random_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agentflare.partitions import tenant_key
from agentflare.redis_store import RedisDownError, get_redis
from billing.admission.gate import Spent
from billing.dashboard.key_forms import KeyForm, RotateForm
from billing.dashboard.offered import offered_names
from billing.dashboard.quickstart import QUICKSTART_MODEL
from billing.keys.objects import status_of
from billing.templatetags.money import usd
from billing.usage.budgets import spent_by
from tenants.audit.models import AuditEvent
from tenants.keys import services
from tenants.keys.models import ApiKey
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.users.models import User

_LATE = "Saved. One of our stores does not answer now, so it takes effect within a minute."
_FORM_MEMORY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget of a key, and how much of it is gone."""

    period: str
    budget_nusd: int
    spent_nusd: int

    @property
    def percent(self) -> int:
        return self.spent_nusd * 100 // self.budget_nusd if self.budget_nusd else 100

    @property
    def width(self) -> int:
        return min(100, self.percent)

    @property
    def is_near(self) -> bool:
        return self.percent >= 80


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the list shows it. owner: whom its usage belongs to."""

    key: ApiKey
    spent: Spent
    owner: str

    @property
    def state(self) -> str:
        return status_of(self.key)

    @property
    def is_ending(self) -> bool:
        """It works, and another key has taken its place already."""
        return self.key.is_active and bool(self.key.rotated_to)

    @property
    def budgets(self) -> list[Budget]:
        spent = {
            "day": self.spent.day_nusd,
            "month": self.spent.month_nusd,
            "life": self.spent.life_nusd,
        }
        return [
            Budget(period, budget, spent[period])
            for period, budget in self.key.budgets.by_period().items()
            if budget is not None
        ]

    @property
    def tightest(self) -> Budget | None:
        return max(self.budgets, key=lambda budget: budget.percent, default=None)


def key_rows(keys: Sequence[ApiKey]) -> list[KeyRow]:
    """Call it inside the tenant's schema."""
    spent = spent_by(key.line_id for key in keys)
    owners = names_of_members(keys)
    return [KeyRow(key, spent[key.line_id], owners[key.key_id]) for key in keys]


def names_of_members(keys: Sequence[ApiKey]) -> dict[str, str]:
    """Key id → who made it: today's address of a person, else what was noted then."""
    people = User.objects.filter(pk__in={key.member_id for key in keys if key.member_id})
    names = {person.pk: person.email for person in people}
    return {key.key_id: names.get(key.member_id or 0, key.created_by) for key in keys}


@workspace_page()
def key_list(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    rows = key_rows(services.list_api_keys(tenant=workspace.tenant))
    context = {
        "rows": [row for row in rows if row.key.is_active],
        "ended": [row for row in rows if not row.key.is_active],
    }
    return render(request, "keys/list.html", context)


@never_cache
@workspace_page(Permission.MANAGE_KEYS)
def key_new(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The form, and what comes of it: the key itself, once."""
    if request.method != "POST":
        return _form_page(request, KeyForm(known=offered_names()))
    form = KeyForm(request.POST, known=offered_names())
    if not form.is_valid():
        return _form_page(request, form, status=422)
    if not _is_first(workspace, request.POST.get("once", "")):
        messages.info(
            request, "This form was sent before: its key was made then, and shown. Here it is."
        )
        return redirect("keys", slug=workspace.slug)
    row, key = services.create_api_key(
        tenant=workspace.tenant, actor=workspace.acting(request), **form.settings()
    )
    return _show_once(request, row, key)


@workspace_page()
def key_detail(request: HttpRequest, workspace: Workspace, key_id: str) -> HttpResponse:
    key = _find(workspace, key_id)
    (row,) = key_rows([key])
    line = ApiKey.objects.filter(line_id=key.line_id).exclude(pk=key.pk)
    context = {
        "row": row,
        "key": key,
        "line": line,
        "rotate": RotateForm(label_suffix=""),
        "history": _history([key, *line]) if workspace.may(Permission.MANAGE_KEYS) else [],
    }
    return render(request, "keys/detail.html", context)


@workspace_page(Permission.MANAGE_KEYS)
def key_change(request: HttpRequest, workspace: Workspace, key_id: str) -> HttpResponse:
    key = _find(workspace, key_id)
    if not key.is_active:
        messages.error(request, "This key has ended: it cannot be changed. Create a new one.")
        return redirect("key", slug=workspace.slug, key_id=key_id)
    if request.method != "POST":
        return _form_page(request, KeyForm(known=offered_names(), key=key))
    form = KeyForm(request.POST, known=offered_names(), key=key)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        services.update_api_key(
            tenant=workspace.tenant,
            key_id=key_id,
            actor=workspace.acting(request),
            **form.settings(),
        )
    except services.KeyEndedError as exc:
        messages.error(request, str(exc))
    except RedisDownError:
        messages.warning(request, _LATE)
    else:
        messages.success(request, "Saved. It holds from this second on.")
    return redirect("key", slug=workspace.slug, key_id=key_id)


@never_cache
@require_POST
@workspace_page(Permission.MANAGE_KEYS)
def key_rotate(request: HttpRequest, workspace: Workspace, key_id: str) -> HttpResponse:
    _find(workspace, key_id)
    form = RotateForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose how long the old key works on.")
        return redirect("key", slug=workspace.slug, key_id=key_id)
    try:
        row, key = services.rotate_api_key(
            tenant=workspace.tenant,
            key_id=key_id,
            actor=workspace.acting(request),
            overlap_s=form.cleaned_data["overlap_s"],
        )
    except services.KeyEndedError as exc:
        messages.error(request, f"{exc} If its new key is lost, rotate the new one.")
        return redirect("key", slug=workspace.slug, key_id=key_id)
    except RedisDownError:
        # The new key stands, and nobody has seen it: it is in the list, to be rotated.
        messages.warning(
            request,
            "The key was rotated, but one of our stores does not answer, and the new key could "
            "not be shown. Rotate the new one in a moment.",
        )
        return redirect("keys", slug=workspace.slug)
    old = services.get_api_key(tenant=workspace.tenant, key_id=key_id)
    return _show_once(request, row, key, old=old)


@require_POST
@workspace_page(Permission.MANAGE_KEYS)
def key_revoke(request: HttpRequest, workspace: Workspace, key_id: str) -> HttpResponse:
    key = _find(workspace, key_id)
    try:
        services.revoke_api_key(
            tenant=workspace.tenant, key_id=key_id, actor=workspace.acting(request)
        )
    except RedisDownError:
        messages.warning(request, _LATE.replace("Saved", "Revoked"))
    else:
        messages.success(request, f"“{key.name}” is revoked: its calls are refused from now on.")
    return redirect("keys", slug=workspace.slug)


def _find(workspace: Workspace, key_id: str) -> ApiKey:
    try:
        return services.get_api_key(tenant=workspace.tenant, key_id=key_id)
    except ApiKey.DoesNotExist:
        raise Http404 from None


def _form_page(request: HttpRequest, form: KeyForm, *, status: int = 200) -> HttpResponse:
    once = request.POST.get("once") or get_random_string(22)
    return render(request, "keys/form.html", {"form": form, "once": once}, status=status)


def _show_once(
    request: HttpRequest, row: ApiKey, key: str, *, old: ApiKey | None = None
) -> HttpResponse:
    context = {"row": row, "key": key, "old": old, "quickstart_model": QUICKSTART_MODEL}
    return render(request, "keys/made.html", context)


def _is_first(workspace: Workspace, once: str) -> bool:
    """Whether this form was not sent before: pressed twice, or the page of its answer reloaded."""
    name = tenant_key(workspace.tenant.code, f"form:{workspace.tenant.code}:{once[:40]}")
    with suppress(*RedisDownError):
        return bool(get_redis().set(name, "1", nx=True, ex=_FORM_MEMORY_S))
    return True


def _history(keys: Sequence[ApiKey]) -> list[dict[str, Any]]:
    """What was done to a key and to those of its line, newest first."""
    events = AuditEvent.objects.filter(subject__in=[key.prefix for key in keys])[:50]
    return [
        {"event": event, "what": _WHAT.get(event.action, event.action), "changes": _changes(event)}
        for event in events
    ]


_WHAT = {
    "api_key.created": "made",
    "api_key.changed": "changed",
    "api_key.rotated": "rotated",
    "api_key.revoked": "revoked",
}


def _changes(event: AuditEvent) -> list[tuple[str, Any, Any]]:
    """Name, before, after."""
    if event.action != "api_key.changed":
        return []
    return [
        (name.replace("_nusd", "").replace("_", " "), *_both(name, value))
        for name, value in event.detail.items()
        if isinstance(value, list) and len(value) == 2
    ]


def _both(name: str, values: Sequence[Any]) -> tuple[Any, Any]:
    if name.endswith("_nusd"):
        before, after = (usd(value) for value in values)
    else:
        before, after = ("none" if value in (None, [], {}, "") else value for value in values)
    return before, after
