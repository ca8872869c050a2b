"""The operator's pages of the catalogue that no model's list shows: Cloudflare's list beside ours,
and the notice of a model's end."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from kombu.exceptions import OperationalError as BrokerError

from inference.catalog import notices
from inference.catalog.comparing import compare
from inference.catalog.models import AIModel, Comparison, Difference
from inference.catalog.selectors import USED_DAYS
from inference.catalog.tasks import send_notices_task
from tenants.operators.reasons import ReasonForm, reason_given
from tenants.operators.services import operator, record


@staff_member_required
@permission_required("catalog.view_difference", raise_exception=True)
@require_safe
def comparison(request: HttpRequest) -> HttpResponse:
    ours = dict(AIModel.objects.filter(upstream=None).values_list("upstream_model", "name"))
    rows = [(row, ours.get(row.upstream_model)) for row in Difference.objects.all()]
    context = {
        **admin.site.each_context(request),
        "title": "Cloudflare’s models beside ours",
        "latest": Comparison.objects.first(),
        "good": Comparison.objects.filter(error="").first(),
        "open": [each for each in rows if not each[0].dismissed_at],
        "dismissed": [each for each in rows if each[0].dismissed_at],
        "may_change": request.user.has_perm("catalog.change_difference"),
    }
    return render(request, "admin/comparison.html", context)


@staff_member_required
@permission_required("catalog.change_difference", raise_exception=True)
@require_POST
def compare_now(request: HttpRequest) -> HttpResponse:
    """Some seconds. A repeat changes nothing."""
    done = compare()
    if done.error:
        messages.error(request, f"{done.error} What was known stands.")
    else:
        messages.success(request, f"{done.models_seen} models were looked at.")
    return redirect("admin_comparison")


@staff_member_required
@permission_required("catalog.change_difference", raise_exception=True)
@require_POST
def dismiss(request: HttpRequest, difference_id: int) -> HttpResponse:
    """Until Cloudflare says something else again."""
    row = get_object_or_404(Difference, pk=difference_id)
    if not (reason := reason_given(request)):
        return redirect("admin_comparison")
    with transaction.atomic():
        row.dismissed_at = timezone.now()
        row.save(update_fields=["dismissed_at"])
        record(
            actor=operator(request),
            action="difference.dismissed",
            subject=str(row),
            reason=reason,
            ours=row.ours,
            theirs=row.theirs,
        )
    messages.success(request, "It is no longer counted.")
    return redirect("admin_comparison")


class NoticeForm(ReasonForm):
    subject = forms.CharField(max_length=150)
    text = forms.CharField(max_length=4000, strip=True, widget=forms.Textarea(attrs={"rows": 6}))
    field_order = ("subject", "text", "reason")


@staff_member_required
@permission_required("catalog.change_aimodel", raise_exception=True)
@require_http_methods(["GET", "POST"])
def notice(request: HttpRequest, name: str) -> HttpResponse:
    """GET: whom it would reach, and a draft. POST: it is sent within a minute."""
    ai_model = get_object_or_404(AIModel, pk=name)
    subject, text = notices.draft(ai_model)
    form = NoticeForm(
        request.POST or None, initial={"subject": subject, "text": text}, label_suffix=""
    )
    users = notices.users_of(ai_model)
    if request.method == "POST" and form.is_valid():
        notices.give_notice(
            ai_model=ai_model,
            subject=form.cleaned_data["subject"],
            text=form.cleaned_data["text"],
            reason=form.cleaned_data["reason"],
            actor=operator(request),
        )
        try:
            send_notices_task.delay()
        except (BrokerError, OSError):
            messages.warning(request, "The worker cannot be reached: it is sent when it can.")
        messages.success(request, "The notice is on its way. Below stands who was told.")
        return redirect("admin:catalog_aimodel_change", ai_model.pk)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Notice to those who use {ai_model.name}",
        "ai_model": ai_model,
        "form": form,
        "users": users,
        "used_days": USED_DAYS,
    }
    return render(request, "admin/model_notice.html", context)
