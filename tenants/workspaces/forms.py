"""What a workspace's people may choose for it."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from tenants.keys.settings import CACHE_TTL_S
from tenants.limits import Limits
from tenants.registry.models import Tenant
from tenants.registry.slugs import complaint_about
from tenants.users.forms import PlainForm
from tenants.users.models import Role

_MOST_ADDRESSES = 20


class GeneralForm(PlainForm):
    name = forms.CharField(label="Name", max_length=100)
    slug = forms.CharField(
        label="Address",
        max_length=40,
        help_text="small letters, digits, and hyphens between them",
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, tenant: Tenant, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slug = tenant.slug
        self.initial = {"name": tenant.name, "slug": tenant.slug}

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        # One that the operator gave away stays.
        if slug != self._slug and (complaint := complaint_about(slug)):
            raise ValidationError(complaint)
        return slug


class LimitsForm(PlainForm):
    """Empty: what the plan says."""

    requests_per_minute = forms.IntegerField(label="Requests a minute", required=False, min_value=1)
    tokens_per_minute = forms.IntegerField(label="Tokens a minute", required=False, min_value=1)
    concurrent_calls = forms.IntegerField(label="Calls at once", required=False, min_value=1)
    shrink_to_fit = forms.BooleanField(
        label="Shorten an answer to what the credit pays for, instead of refusing the call",
        required=False,
    )

    cache_ttl_s = forms.IntegerField(
        label="Answers from the cache, at most so many seconds old",
        required=False,
        min_value=0,
        help_text=f"{CACHE_TTL_S[0]} to {CACHE_TTL_S[-1]:,}. Empty or 0: no cache.",
    )

    def __init__(self, *args: Any, tenant: Tenant, **options: Any) -> None:
        super().__init__(*args, **options)
        self._granted = tenant.granted_limits
        for name in Limits.__dataclass_fields__:
            most = getattr(self._granted, name)
            self.fields[name].help_text = (
                "no limit by your plan" if most is None else f"your plan: {most:,}"
            )

    def clean_cache_ttl_s(self) -> int:
        wanted: int = self.cleaned_data["cache_ttl_s"] or 0
        if wanted and wanted not in CACHE_TTL_S:
            raise ValidationError(
                f"It takes {CACHE_TTL_S[0]} to {CACHE_TTL_S[-1]:,} seconds, or 0 for no cache."
            )
        return wanted

    def clean(self) -> dict[str, Any]:
        for name in Limits.__dataclass_fields__:
            wanted, most = self.cleaned_data.get(name), getattr(self._granted, name)
            if wanted is not None and most is not None and wanted > most:
                self.add_error(name, f"Your plan allows {most:,}. Choose less, or leave it empty.")
        return dict(self.cleaned_data)

    @property
    def limits(self) -> Limits:
        return Limits(**{name: self.cleaned_data[name] for name in Limits.__dataclass_fields__})


class AlertsForm(PlainForm):
    roles = forms.MultipleChoiceField(
        label="Members who are told",
        choices=[(role.value, role.label) for role in Role],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    addresses = forms.CharField(
        label="Further addresses",
        required=False,
        max_length=6000,
        help_text="one in a line, such as a list or a pager",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )

    def clean_addresses(self) -> list[str]:
        words = str(self.cleaned_data["addresses"]).replace(",", " ").split()
        addresses = list(dict.fromkeys(words))
        if len(addresses) > _MOST_ADDRESSES:
            raise ValidationError(f"At most {_MOST_ADDRESSES} addresses.")
        for address in addresses:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(f"{address} is no e-mail address.") from None
        return addresses

    def clean(self) -> dict[str, Any]:
        data = dict(self.cleaned_data)
        if not self.errors and not data.get("roles") and not data.get("addresses"):
            self.add_error("roles", "Somebody has to be told: choose a role, or give an address.")
        return data
