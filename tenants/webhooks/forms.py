"""Forms about webhooks."""

from typing import Any

from django import forms

from agentflare.outside.request import OutsideError
from tenants.users.forms import NameField, PlainForm
from tenants.webhooks.events import EVENTS
from tenants.webhooks.sending import check_url


class EndpointForm(PlainForm):
    url = forms.CharField(
        label="URL",
        max_length=2000,
        help_text="https, on the public internet, on port 443",
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/webhooks"}),
        error_messages={"required": "Where should events go?"},
    )
    name = NameField(label="Name", max_length=60, required=False, help_text="for yourselves")
    events = forms.MultipleChoiceField(
        label="Events",
        choices=[(event, f"{event}: {about}") for event, about in EVENTS.items()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one event."},
    )

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"]).strip()
        try:
            check_url(url)
        except OutsideError as exc:
            raise forms.ValidationError(f"Nothing can be sent there: {exc}") from None
        return url


class ChangeForm(EndpointForm):
    is_enabled = forms.BooleanField(label="Switched on", required=False)

    def clean(self) -> dict[str, Any]:
        return dict(self.cleaned_data)
