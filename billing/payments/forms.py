"""What people enter about payments. Amounts are dollars there, whole cents here."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms

from billing.payments.amounts import (
    NUSD_PER_CENT,
    PRESETS_CENTS,
    AmountError,
    Range,
    dollars,
    entry,
    quote,
)
from billing.payments.countries import COUNTRIES
from billing.payments.models import BillingAccount
from billing.payments.tax_ids import TAX_ID_TYPES


class DollarsField(forms.DecimalField):
    """Dollars with two decimals, as whole cents."""

    widget = forms.TextInput

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", 9)
        super().__init__(decimal_places=2, **options)
        self.widget.attrs.update({"inputmode": "decimal", "autocomplete": "off"})
        self.error_messages["invalid"] = "Enter dollars, such as 25 or 12.50."

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip().removeprefix("$").replace(",", "")
        return super().to_python(value)

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)


class _Form(forms.Form):
    """Several stand on one page: each has ids of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        kwargs.setdefault("auto_id", f"{type(self).__name__.removesuffix('Form').lower()}_%s")
        super().__init__(*args, **kwargs)


class _OnceForm(_Form):
    """Its `form_id` is another each time the page is made: pressed twice, sent again by a browser
    or a proxy, it asks for the same."""

    form_id = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid4)


class TopUpForm(_OnceForm):
    """A preset, or an amount of one's own, which wins."""

    preset = forms.ChoiceField(widget=forms.RadioSelect, required=False, label="Amount")
    amount = DollarsField(required=False, label="Another amount, in dollars")
    saves_card = forms.BooleanField(required=False, label="Use this card for auto-recharge")

    def __init__(self, data: Any = None, *, bounds: Range, **kwargs: Any) -> None:
        self.bounds = bounds
        super().__init__(data, **kwargs)
        offered = [
            cents for cents in PRESETS_CENTS if bounds.least_cents <= cents <= bounds.most_cents
        ]
        field = self.fields["preset"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(str(cents), dollars(cents)) for cents in offered]
        if len(offered) > 1:
            field.initial = str(offered[1])
        elif offered:
            field.initial = str(offered[0])
        self.fields[
            "amount"
        ].help_text = f"From {dollars(bounds.least_cents)} to {dollars(bounds.most_cents)}."

    @property
    def chosen_cents(self) -> int:
        """Of the presets, for a form that was not sent, or not as it should be."""
        field, chosen = self.fields["preset"], str(self["preset"].value())
        assert isinstance(field, forms.ChoiceField)
        return int(chosen) if field.valid_value(chosen) else self.bounds.least_cents

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return data
        cents = data.get("amount")
        if cents is None and not data.get("preset"):
            self.add_error("amount", "Choose an amount.")
            return data
        data["credit_cents"] = int(data["preset"]) if cents is None else cents
        try:
            self.bounds.check(data["credit_cents"])
        except AmountError as exc:
            self.add_error("amount", str(exc))
        return data


class AutoRechargeForm(_Form):
    enabled = forms.BooleanField(required=False, label="Turn on auto-recharge")
    threshold = DollarsField(label="When less than this is left ($)", min_value=Decimal(1))
    amount = DollarsField(label="Buy credit for ($)")
    cap = DollarsField(label="Charge at most this in a month ($)")

    def __init__(self, data: Any = None, *, bounds: Range, **kwargs: Any) -> None:
        self.bounds = bounds
        super().__init__(data, **kwargs)

    @classmethod
    def of(cls, account: BillingAccount, bounds: Range) -> "AutoRechargeForm":
        """As it is set, or as it might be."""
        has_been_set = bool(account.auto_amount_cents)
        amount = account.auto_amount_cents or min(2500, bounds.most_cents)
        threshold = account.auto_threshold_nusd // NUSD_PER_CENT if has_been_set else 500
        cap = account.auto_cap_cents or 4 * amount
        return cls(
            bounds=bounds,
            initial={
                "enabled": account.auto_enabled,
                "threshold": entry(threshold),
                "amount": entry(amount),
                "cap": entry(cap),
            },
        )

    def clean_amount(self) -> int:
        cents: int = self.cleaned_data["amount"]
        try:
            self.bounds.check(cents)
        except AmountError as exc:
            raise forms.ValidationError(str(exc)) from None
        return cents

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return data
        total = quote(data["amount"]).total_cents
        if data["cap"] < total:
            self.add_error(
                "cap", f"One recharge is {dollars(total)}: the cap must be at least as much."
            )
        return data


class AlertForm(_Form):
    amount = DollarsField(
        required=False,
        label="Tell us by mail when less than this is left ($)",
        min_value=Decimal("0.01"),
        help_text="Leave it empty for no mail. It goes to those whom the settings name for "
        "alerts, and to webhooks that want balance.low, once for each time that the balance "
        "falls.",
    )


class RefundForm(_OnceForm):
    amount = DollarsField(label="Credit to refund ($)", min_value=Decimal("0.01"))


class DetailsForm(_Form):
    name = forms.CharField(max_length=150, required=False, label="Name or company")
    email = forms.EmailField(
        required=False,
        label="E-mail address for receipts and invoices",
        help_text="Empty: the owner’s.",
    )
    line1 = forms.CharField(max_length=200, required=False, label="Street and number")
    line2 = forms.CharField(max_length=200, required=False, label="Second line")
    postal_code = forms.CharField(max_length=20, required=False, label="Postal code")
    city = forms.CharField(max_length=100, required=False, label="City")
    state = forms.CharField(max_length=100, required=False, label="State or region")
    country = forms.ChoiceField(
        required=False, label="Country", choices=[("", "Choose a country"), *COUNTRIES.items()]
    )
    tax_id_type = forms.ChoiceField(
        required=False,
        label="Kind of tax id",
        choices=[("", "None"), *((name, kind.label) for name, kind in TAX_ID_TYPES.items())],
    )
    tax_id = forms.CharField(max_length=50, required=False, label="Tax id")

    @classmethod
    def of(cls, account: BillingAccount) -> "DetailsForm":
        return cls(initial={name: getattr(account, name) for name in cls.base_fields})

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("line1") and not data.get("country") and "country" not in self.errors:
            self.add_error("country", "An address needs its country.")
        self._clean_tax_id(data)
        return data

    def _clean_tax_id(self, data: dict[str, Any]) -> None:
        if self.errors.keys() & {"tax_id", "tax_id_type"}:
            return
        if bool(data.get("tax_id")) != bool(data.get("tax_id_type")):
            name = "tax_id_type" if data.get("tax_id") else "tax_id"
            self.add_error(name, "A tax id needs its kind and its number.")
        elif data.get("tax_id"):
            kind = TAX_ID_TYPES[data["tax_id_type"]]
            try:
                data["tax_id"] = kind.clean(data["tax_id"])
            except ValueError:
                self.add_error("tax_id", f"{kind.label}s look like {kind.example}.")
