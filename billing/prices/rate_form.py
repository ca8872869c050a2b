"""Rates as price lists quote them: for a million tokens or characters, for one of anything else."""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from agentflare.money import NUSD_PER_USD
from billing.prices.models import Rate
from billing.prices.services import quoted_in


def as_quoted(rate: Rate) -> dict[str, Any]:
    """What the form begins with."""
    count = quoted_in(rate.unit)
    neurons = None if rate.neurons is None else plain(rate.neurons * count)
    usd = None if rate.nusd is None else plain(rate.nusd * count / NUSD_PER_USD)
    return {"unit": rate.unit, "quoted_neurons": neurons, "quoted_usd": usd}


def plain(amount: Decimal) -> str:
    """Without zeros at its end: "4625"."""
    return f"{amount.normalize():f}"


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    """In neurons or in dollars, never both; kept for one unit."""

    quoted_neurons = forms.DecimalField(
        required=False,
        max_digits=20,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    quoted_usd = forms.DecimalField(
        required=False,
        max_digits=20,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )

    class Meta:
        model = Rate
        fields = ("unit",)
        # Of a million tokens or characters, of one of anything else.
        labels: ClassVar[dict[str, str]] = {
            "quoted_neurons": "Neurons per million, or piece",
            "quoted_usd": "or US dollars per million, or piece",
        }

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "unit" not in data or "quoted_neurons" in self.errors or "quoted_usd" in self.errors:
            return data
        amounts = [data.get("quoted_neurons"), data.get("quoted_usd")]
        if (
            sum(amount is not None for amount in amounts) != 1
            or (amounts[0] or amounts[1] or 0) < 0
        ):
            raise ValidationError(
                "A rate is in neurons or in dollars: one of the two, and not below zero."
            )
        neurons, usd = amounts
        count = quoted_in(data["unit"])
        self.instance.neurons = None if neurons is None else neurons / count
        self.instance.nusd = None if usd is None else usd * NUSD_PER_USD / count
        self._keep_to_its_digits("neurons", "quoted_neurons")
        self._keep_to_its_digits("nusd", "quoted_usd")
        return data

    def _keep_to_its_digits(self, name: str, quoted: str) -> None:
        """What the column cannot hold is told, and not rounded."""
        amount: Decimal | None = getattr(self.instance, name)
        if amount is None:
            return
        field: Any = Rate._meta.get_field(name)
        # Zeros at its end are no digits.
        amount = Decimal(plain(amount))
        try:
            field.clean(amount, self.instance)
        except ValidationError:
            self.add_error(quoted, "That has more digits than can be kept.")
        setattr(self.instance, name, amount)
