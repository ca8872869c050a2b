"""What a person may choose of an API key. The rules themselves are tenants.keys.settings'."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from agentflare.money import format_usd, parse_usd
from tenants.keys.models import DEFAULT_ALERT_PERCENTS, DEFAULT_SCOPES, ApiKey, Scope
from tenants.keys.settings import KeySettingError, check_settings
from tenants.limits import Limits

PERIODS = ("day", "month", "life")
_LIMITS = tuple(Limits.__dataclass_fields__)
# Rows for limits at single models that are there to be filled in.
_EMPTY_ROWS = 2
_MOST_ROWS = 200
OVERLAPS = {
    0: "Not at all: the old key ends now",
    3600: "1 hour",
    24 * 3600: "1 day",
    7 * 24 * 3600: "7 days",
    30 * 24 * 3600: "30 days",
    90 * 24 * 3600: "90 days",
}


class UsdField(forms.CharField):
    """Dollars as people write them, as nUSD; empty: None."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=20, **kwargs)
        self.widget.attrs |= {"inputmode": "decimal", "placeholder": "none"}

    def clean(self, value: Any) -> int | None:
        text = str(super().clean(value) or "").strip().removeprefix("$").replace(",", "")
        if not text:
            return None
        try:
            amount = parse_usd(text)
        except ValueError as exc:
            raise forms.ValidationError(f"{exc}.") from None
        if amount < 0:
            raise forms.ValidationError("An amount is 0 or more; leave it empty for no budget.")
        return amount

    def prepare_value(self, value: Any) -> Any:
        return _dollars(value) if isinstance(value, int) else value


class _LimitField(forms.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, min_value=0, **kwargs)
        self.widget.attrs["placeholder"] = "none"


class ModelLimitsForm(forms.Form):
    """Limits of the key at one model; a row without a name counts for nothing."""

    use_required_attribute = False
    ai_model = forms.CharField(label="Model or route", required=False, max_length=120)
    requests_per_minute = _LimitField(label="Requests per minute")
    tokens_per_minute = _LimitField(label="Tokens per minute")
    concurrent_calls = _LimitField(label="Calls at once")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["ai_model"].widget.attrs |= {"list": "model-names", "autocomplete": "off"}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("ai_model") and any(data.get(limit) is not None for limit in _LIMITS):
            self.add_error("ai_model", "Name the model that these limits are for.")
        return data


# absolute_max: a form that claims to have many rows, and has none, makes us make them all.
ModelLimitsFormSet = forms.formset_factory(
    ModelLimitsForm,
    extra=_EMPTY_ROWS,
    max_num=_MOST_ROWS,
    absolute_max=_MOST_ROWS + _EMPTY_ROWS,
)


class KeyForm(forms.Form):
    """`settings()` is what the form asks for, by the names that a key's row has."""

    name = forms.CharField(
        label="Name", max_length=100, help_text="Where it is used: “production”, “Ann’s laptop”."
    )
    scopes = forms.MultipleChoiceField(
        label="What it may be used for",
        choices=[(scope.value, scope.label[0].upper() + scope.label[1:]) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one."},
    )
    picked_models = forms.MultipleChoiceField(
        label="Models it may call",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Nothing ticked: all models, those to come as well.",
    )
    other_models = forms.CharField(
        label="Other names",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Routes, or Cloudflare’s ids. One in a line.",
    )
    requests_per_minute = _LimitField(label="Requests per minute")
    tokens_per_minute = _LimitField(label="Tokens per minute")
    concurrent_calls = _LimitField(label="Calls at once")
    day_budget_nusd = UsdField(label="Budget a day, $")
    month_budget_nusd = UsdField(label="Budget a month, $")
    life_budget_nusd = UsdField(label="Budget in all, $")
    alert_percents = forms.CharField(
        label="Tell us at, %",
        required=False,
        max_length=60,
        help_text="Parts of a budget at which owners, admins and billing people get a mail.",
    )
    expires_on = forms.DateField(
        label="Last day (UTC)",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Empty: it does not expire.",
    )
    ip_ranges = forms.CharField(
        label="Addresses it may be used from",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "203.0.113.0/24"}),
        help_text="One address or range in a line. Empty: from anywhere.",
    )
    cache_ttl_s = forms.IntegerField(
        label="Answers from the cache, at most so many seconds old",
        required=False,
        min_value=0,
        help_text="60 to 2,592,000, or 0 for no cache. Empty: as the workspace’s settings say. A "
        "request may ask otherwise.",
    )

    def __init__(self, *args: Any, known: Iterable[str], key: ApiKey | None = None) -> None:
        """known: names of models to pick from. key: the one to be changed."""
        known = sorted(known)
        self.key = key
        data = args[0] if args else None
        super().__init__(data, initial=_initial(key, known), label_suffix="")
        field = self.fields["picked_models"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, name) for name in known]
        self.model_limits = ModelLimitsFormSet(
            data,
            prefix="at",
            initial=[
                {"ai_model": name, **limits}
                for name, limits in (key.ai_model_limits if key else {}).items()
            ],
        )
        self.known = known

    def is_valid(self) -> bool:
        is_valid = super().is_valid()
        if not self.model_limits.is_valid() or not is_valid:
            return False
        try:
            check_settings(self.settings())
        except KeySettingError as exc:
            self.refuse(exc)
            return False
        return True

    def refuse(self, error: KeySettingError) -> None:
        """Say beside the field what it takes."""
        field = _FIELDS.get(error.field, error.field)
        if field not in self.fields:
            self.add_error(None, f"{error.field}: it takes {error}.")
        else:
            self.add_error(field, f"This takes {error}.")

    def settings(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "name": data["name"],
            "scopes": data["scopes"],
            "ai_models": [*data["picked_models"], *_lines(data["other_models"])],
            "ip_ranges": _lines(data["ip_ranges"]),
            "cache_ttl_s": data["cache_ttl_s"],
            "alert_percents": data["alert_percents"],
            "ai_model_limits": dict(self._model_limits()),
            **{limit: data[limit] for limit in _LIMITS},
            **{f"{period}_budget_nusd": data[f"{period}_budget_nusd"] for period in PERIODS},
            **self._expiry(),
        }

    def clean_alert_percents(self) -> list[int]:
        text = self.cleaned_data["alert_percents"].replace("%", " ").replace(",", " ")
        try:
            return [int(part) for part in text.split()]
        except ValueError:
            raise forms.ValidationError("Whole numbers, such as 50, 80, 100.") from None

    def clean_expires_on(self) -> date | None:
        day: date | None = self.cleaned_data["expires_on"]
        is_new = "expires_on" in self.changed_data
        if day is not None and is_new and day < datetime.now(UTC).date():
            raise forms.ValidationError("Choose today or a day to come, or leave it empty.")
        if day == date.max:  # its end is beyond what a moment can be
            raise forms.ValidationError("Choose an earlier day, or leave it empty.")
        return day

    def _expiry(self) -> dict[str, datetime | None]:
        """A moment that was set to the second elsewhere stays as it is unless the day changes."""
        if self.key is not None and "expires_on" not in self.changed_data:
            return {}
        day = self.cleaned_data["expires_on"]
        end = day and datetime.combine(day + timedelta(days=1), time(), UTC)
        return {"expires_at": end}

    def _model_limits(self) -> Iterator[tuple[str, dict[str, int]]]:
        for form in self.model_limits:
            data = form.cleaned_data
            if data.get("ai_model"):
                yield (
                    data["ai_model"],
                    {limit: data[limit] for limit in _LIMITS if data[limit] is not None},
                )


class RotateForm(forms.Form):
    overlap_s = forms.TypedChoiceField(
        label="How long the old key works on",
        coerce=int,
        choices=list(OVERLAPS.items()),
        initial=24 * 3600,
    )


# The form's fields for the row's names, where they differ.
_FIELDS = {
    "ai_models": "other_models",
    "expires_at": "expires_on",
}


def _initial(key: ApiKey | None, known: Sequence[str]) -> dict[str, Any]:
    if key is None:
        return {"scopes": DEFAULT_SCOPES, "alert_percents": _percents(DEFAULT_ALERT_PERCENTS)}
    names = set(known)
    same = {
        name: getattr(key, name)
        for name in ("name", "scopes", *_LIMITS, *(f"{period}_budget_nusd" for period in PERIODS))
    }
    return {
        **same,
        "picked_models": [name for name in key.ai_models if name in names],
        "other_models": "\n".join(name for name in key.ai_models if name not in names),
        "ip_ranges": "\n".join(key.ip_ranges),
        "cache_ttl_s": key.cache_ttl_s,
        "alert_percents": _percents(key.alert_percents),
        "expires_on": last_day(key.expires_at),
    }


def last_day(moment: datetime | None) -> date | None:
    """The day (UTC) in which a key is used for the last time."""
    return None if moment is None else (moment - timedelta(microseconds=1)).astimezone(UTC).date()


def _percents(percents: Iterable[int]) -> str:
    return ", ".join(str(percent) for percent in percents)


def _lines(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _dollars(amount_nusd: int) -> str:
    text = format_usd(amount_nusd)
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
