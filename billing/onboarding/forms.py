"""The form that names a workspace."""

from typing import Any

from django import forms

from tenants.registry.models import Tenant
from tenants.registry.slugs import MAX_LENGTH, complaint_about
from tenants.users.forms import NameField


class WorkspaceForm(forms.Form):
    name = NameField(
        label="Name",
        max_length=100,
        help_text="Your company, team or project. It can be changed later.",
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )
    slug = forms.CharField(
        label="Address",
        max_length=MAX_LENGTH,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"]).lower()
        if trouble := trouble_with(slug):
            raise forms.ValidationError(trouble)
        return slug


def trouble_with(slug: str) -> str:
    """Why it cannot be had; empty when it can, at this moment."""
    if complaint := complaint_about(slug):
        return complaint
    if Tenant.objects.filter(slug=slug).exists():
        return TAKEN
    return ""


TAKEN = "Somebody has this address already. Choose another one."
