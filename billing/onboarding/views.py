"""From sign-up to the first call: name the workspace, get a key, watch the call arrive."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agentflare.client_ip import client_ip
from agentflare.redis_store import RedisDownError
from billing.dashboard.quickstart import QUICKSTART_MODEL
from billing.onboarding.forms import TAKEN, WorkspaceForm, trouble_with
from billing.onboarding.models import TrialGrant
from billing.onboarding.selectors import first_call_after, may_own_another, trial_left
from billing.onboarding.services import (
    TooManyWorkspacesError,
    has_had_key,
    keep_promise,
    make_first_key,
    open_workspace,
)
from billing.usage.refusals import Refusal, latest_refusals
from tenants.audit.services import Actor
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.registry.services import TenantExistsError
from tenants.registry.slugs import propose_slug
from tenants.users.models import Membership, Role, User

# How often the page asks for the first call by itself, two seconds apart: ten minutes.
LOOKS = 300
# The session's note that this person has just made this workspace.
WELCOME = "onboarding.welcome"


@login_required
def new_workspace(request: HttpRequest) -> HttpResponse:
    """Name it, and it is there."""
    user = request.user
    assert isinstance(user, User)
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        slug = form.cleaned_data["slug"]
        try:
            open_workspace(
                user=user, name=form.cleaned_data["name"], slug=slug, actor=_actor(request)
            )
        except TenantExistsError:
            form.add_error("slug", TAKEN)
        except TooManyWorkspacesError:
            return _no_more(request)
        else:
            request.session[WELCOME] = slug
            return redirect("quickstart", slug=slug)
    elif request.method == "POST" and (made := _made_before(request, user)):
        return redirect("quickstart", slug=made)
    if not may_own_another(user):
        return _no_more(request)
    context = {"form": form, "trial_nusd": trial_left(user)}
    return render(request, "onboarding/new.html", context)


def _made_before(request: HttpRequest, user: User) -> str:
    """The slug, when the form was only sent twice."""
    slug = request.POST.get("slug", "")
    is_ours = Membership.objects.filter(user=user, role=Role.OWNER, tenant__slug=slug).exists()
    return slug if is_ours and request.session.get(WELCOME) == slug else ""


def _no_more(request: HttpRequest) -> HttpResponse:
    context = {"limit": settings.WORKSPACES_PER_PERSON}
    return render(request, "onboarding/no_more.html", context, status=403)


@login_required
def check_address(request: HttpRequest) -> HttpResponse:
    """HTMX asks. GET ?slug=…: whether it can be had. GET ?propose&name=…&slug=…&proposed=…: an
    address for this name, unless the person has written one."""
    slug = request.GET.get("slug", "").strip().lower()
    proposal = None
    if "propose" in request.GET:
        if slug != request.GET.get("proposed", ""):
            return HttpResponse(status=204)
        slug = proposal = _free(propose_slug(request.GET.get("name", "")))
    trouble = trouble_with(slug) if slug else ""
    context = {"value": slug, "trouble": trouble, "proposal": proposal}
    return render(request, "onboarding/address_state.html", context)


def _free(slug: str) -> str:
    """It, or it with a number, whichever is free first."""
    if not slug:
        return ""
    for suffix in ("", *(f"-{number}" for number in range(2, 10))):
        candidate = slug[: 40 - len(suffix)].rstrip("-") + suffix
        if not trouble_with(candidate):
            return candidate
    return slug


@workspace_page()
@never_cache
def quickstart(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """How to make a call; right after the workspace was made, with its first key."""
    for promise in TrialGrant.objects.filter(tenant=workspace.tenant, booked_at=None):
        keep_promise(promise)
    has_key = has_had_key()
    may_make_key = workspace.may(Permission.MANAGE_KEYS)
    is_new = request.session.get(WELCOME) == workspace.slug
    context = {
        **_snippets(),
        "has_key": has_key,
        "may_make_key": may_make_key,
        # It comes by itself, once: nobody has asked for it but by making the workspace.
        "makes_key": is_new and may_make_key and not has_key,
        "is_new": is_new,
        "granted_nusd": _granted(workspace) if is_new else 0,
        **_watching(datetime(2000, 1, 1, tzinfo=UTC) if is_new else timezone.now(), 0),
    }
    return render(request, "onboarding/quickstart.html", context)


@workspace_page(Permission.MANAGE_KEYS)
@require_POST
@never_cache
def first_key(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Make the workspace's first key, and show it this one time."""
    key = make_first_key(tenant=workspace.tenant, actor=_actor(request))
    request.session.pop(WELCOME, None)
    if not key:
        messages.info(request, "This workspace has had its first key: it was shown then.")
        response = redirect("quickstart", slug=workspace.slug)
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": response.headers["Location"]})
        return response
    context: dict[str, Any] = {**_snippets(key), "has_key": True}
    if request.headers.get("HX-Request"):
        return render(request, "onboarding/key.html", context)
    context |= _watching(datetime(2000, 1, 1, tzinfo=UTC), 0)
    return render(request, "onboarding/quickstart.html", context)


@workspace_page()
@never_cache
def first_call(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """GET ?since=ISO time&look=how often: the call, or that there is none yet. HTMX asks."""
    since = _moment(request.GET.get("since", ""))
    look = request.GET.get("look", "0")
    call = first_call_after(since)
    context = {
        "call": call,
        "refusal": None if call else _refusal_after(since, workspace.tenant.code),
        **_watching(since, int(look) if look.isdecimal() else LOOKS),
    }
    return render(request, "onboarding/call.html", context)


def _watching(since: datetime, look: int) -> dict[str, Any]:
    return {"since": since.isoformat(), "look": look + 1, "is_looking": look < LOOKS}


def _refusal_after(moment: datetime, tenant_code: str) -> Refusal | None:
    try:
        latest = next(iter(latest_refusals(tenant_code)), None)
    except RedisDownError:
        return None
    return latest if latest and latest.moment > moment else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return timezone.now()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _snippets(key: str = "") -> dict[str, Any]:
    return {"key": key, "quickstart_model": QUICKSTART_MODEL}


def _granted(workspace: Workspace) -> int:
    promise = TrialGrant.objects.filter(tenant=workspace.tenant).first()
    return promise.amount_nusd if promise else 0


def _actor(request: HttpRequest) -> Actor:
    assert isinstance(request.user, User)
    return Actor(request.user.email, client_ip(request))
