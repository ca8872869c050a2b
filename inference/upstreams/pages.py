"""The operator's page of upstreams: how each does, a test call, off and on again."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from inference.upstreams.accounts import OPENAI_COMPATIBLE
from inference.upstreams.hooks import testable_models
from inference.upstreams.models import Upstream
from inference.upstreams.overview import upstreams
from inference.upstreams.secrets import UnreadableSecretError
from inference.upstreams.selectors import account_named, is_last_account
from inference.upstreams.services import set_state
from inference.upstreams.trial import try_upstream
from inference.upstreams.watching import MINUTES
from tenants.operators.reasons import ReasonForm
from tenants.operators.services import operator, record

_CHANGE = "upstreams.change_upstream"


class StateForm(ReasonForm):
    is_sure = forms.BooleanField(required=False)


class TestForm(ReasonForm):
    ai_model = forms.CharField(max_length=80)


@staff_member_required
@permission_required("upstreams.view_upstream", raise_exception=True)
@require_safe
def upstreams_page(request: HttpRequest) -> HttpResponse:
    every = upstreams()
    context = {
        **admin.site.each_context(request),
        "title": "Upstreams",
        "upstreams": [(each, testable_models(_server(each.row))) for each in every],
        "minutes": MINUTES,
        "is_redis_down": bool(every) and all(each.health is None for each in every),
        "may_change": request.user.has_perm(_CHANGE),
    }
    return render(request, "admin/upstreams.html", context)


def _server(row: Upstream | None) -> str:
    """Whose models it is asked for; empty: the catalogue's."""
    return row.name if row and row.provider == OPENAI_COMPATIBLE else ""


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """POST state=off: no new calls, and those that run go on to their end; state=active: on."""
    row = Upstream.objects.filter(pk=name).first()
    if row is None:
        raise Http404
    form = StateForm(request.POST)
    state = request.POST.get("state", "")
    if not form.is_valid() or state not in Upstream.State.values:
        messages.error(request, "Reason: say why.")
        return redirect("admin_upstreams")
    is_off = state == Upstream.State.OFF
    if is_off and row.state != state and is_last_account(name) and not form.cleaned_data["is_sure"]:
        messages.error(
            request,
            f"{name} is the last account: without it no model of the catalogue is served. Tick "
            "the box if that is what you want.",
        )
        return redirect("admin_upstreams")
    with transaction.atomic():
        set_state(name=name, state=Upstream.State(state))
        record(
            actor=operator(request),
            action="upstream.drained" if is_off else "upstream.resumed",
            subject=name,
            reason=form.cleaned_data["reason"],
            state=[row.state, state],
        )
    told = "gets no new calls; those that run go on." if is_off else "is called again."
    messages.success(request, f"{name} {told}")
    return redirect("admin_upstreams")


@staff_member_required
@permission_required(_CHANGE, raise_exception=True)
@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """One small call through this very account, which we pay: also of one that is off."""
    form = TestForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a model, and say why.")
        return redirect("admin_upstreams")
    try:
        account = account_named(name)
    except Upstream.DoesNotExist:
        raise Http404 from None
    except UnreadableSecretError as exc:
        messages.error(request, f"{name}: {exc.message}")
        return redirect("admin_upstreams")
    server = name if account.provider == OPENAI_COMPATIBLE else ""
    models: dict[str, Any] = testable_models(server)
    wanted = form.cleaned_data["ai_model"]
    if wanted not in models:
        messages.error(request, f"{name} has no model {wanted} for chat or embeddings.")
        return redirect("admin_upstreams")
    upstream_model, kind = models[wanted]
    trial = try_upstream(account, upstream_model=upstream_model, kind=kind)
    record(
        actor=operator(request),
        action="upstream.tested",
        subject=name,
        reason=form.cleaned_data["reason"],
        ai_model=wanted,
        took_ms=trial.took_ms,
        neurons=trial.neurons,
        failure=trial.failure,
    )
    if trial.failure:
        messages.error(
            request, f"{name} did not answer for {wanted} ({trial.took_ms} ms): {trial.failure}"
        )
    else:
        cost = f", {trial.neurons} neurons" if trial.neurons else ""
        messages.success(request, f"{name} answered for {wanted} in {trial.took_ms} ms{cost}.")
    return redirect("admin_upstreams")
