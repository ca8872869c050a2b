"""Every change in the admin says why: a field for it, and the line in the operators' trail."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, QueryDict
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from tenants.operators.services import operator, record
from tenants.registry.models import Tenant

_LONGEST = 200
_HELP = "Kept with your name in the operators’ trail."


def reason_field(help_text: str = _HELP) -> forms.CharField:
    return forms.CharField(
        label="Reason",
        max_length=_LONGEST,
        strip=True,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why."},
    )


class ReasonForm(forms.Form):
    """For pages of our own."""

    reason = forms.CharField(
        max_length=_LONGEST, strip=True, error_messages={"required": "Say why."}
    )


def reason_given(request: HttpRequest, *, why: str = "say why.") -> str:
    """Of a form of our own that has nothing but a reason; "" where there is none, and then the
    operator was told. why: what to say."""
    form = ReasonForm(request.POST)
    if form.is_valid():
        return str(form.cleaned_data["reason"])
    messages.error(request, f"Reason: {why}")
    return ""


class Reasoned(ModelAdmin if TYPE_CHECKING else object):  # type: ignore[misc]
    """A list in whose forms every change has a reason, which is recorded with what changed.

    Several at once are not deleted: a reason is given for one. To be named before the ModelAdmin.
    """

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if self._asks(request, obj):
            plain = self.form if obj else getattr(self, "add_form", self.form)
            kwargs["form"] = _with_reason(kwargs.get("form", plain))
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = [
            (name, {**options, "fields": [f for f in options["fields"] if f != "reason"]})
            for name, options in super().get_fieldsets(request, obj)
        ]
        if self._asks(request, obj):
            fieldsets.append(("Why", {"fields": ["reason"]}))
        return fieldsets

    def _asks(self, request: HttpRequest, obj: Any) -> bool:
        return bool(
            self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        detail = changes(form) if change else {}
        for formset in formsets:
            detail |= _rows(formset)
        verb = "changed" if change else "added"
        self.record_action(
            request, form.instance, verb, form.cleaned_data.get("reason", ""), detail
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "asks_reason": True}
        if request.method == "POST" and not ReasonForm(request.POST).is_valid():
            # Shown again, with what is missing.
            request.POST = QueryDict()
            context["reason_error"] = "Say why."
        answer: HttpResponse = super().delete_view(request, object_id, context)
        return answer

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        given = ReasonForm(request.POST)
        if not given.is_valid():
            raise PermissionDenied("No reason was given.")
        self.record_action(request, obj, "deleted", given.cleaned_data["reason"], {})
        super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def record_action(
        self, request: HttpRequest, obj: Model, verb: str, reason: str, detail: dict[str, Any]
    ) -> None:
        record(
            actor=operator(request),
            action=f"{obj._meta.model_name}.{verb}",
            subject=str(obj),
            reason=reason,
            tenant=obj if isinstance(obj, Tenant) else getattr(obj, "tenant", None),
            **detail,
        )


class ReasonedAdmin(Reasoned, ModelAdmin):
    pass


def _with_reason(form: Any) -> Any:
    return type(form.__name__, (form,), {"reason": reason_field()})


def changes(form: Any) -> dict[str, Any]:
    """Field → [before, after], as JSON; of a secret, that it is another one."""
    return {
        name: "set anew"
        if _is_secret(form.fields[name])
        else [_plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))]
        for name in form.changed_data
        if name != "reason" and name in form.fields
    }


def _rows(formset: Any) -> dict[str, Any]:
    """What became of the rows below the form: name of the rows → one text for each."""
    name = str(formset.model._meta.verbose_name_plural)
    told = [*_told(formset)]
    return {name: told} if told else {}


def _told(formset: Any) -> Iterator[str]:
    for row in getattr(formset, "new_objects", []):
        yield f"added {row}"
    for row, fields in getattr(formset, "changed_objects", []):
        yield f"changed {', '.join(fields)} of {row}"
    for row in getattr(formset, "deleted_objects", []):
        yield f"deleted {row}"


def _is_secret(field: forms.Field) -> bool:
    return getattr(field.widget, "input_type", "") == "password"


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return f"{value.normalize():f}"
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | set():
            return [_plain(each) for each in value]
        case Model():
            return str(value)
        case _ if hasattr(value, "__iter__"):
            return [str(each) for each in value]
        case _:
            return str(value)
