"""The forms of passkeys. What a device answers is sent by a script: it may be anything."""

import struct
from typing import Any, ClassVar

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms

from tenants.users.forms import PlainForm

# What the library raises for an answer that is not made as it should be.
_STUMBLES = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError),
    struct.error,
)


class CredentialField(forms.JSONField):
    """Is never shown again: what was refused may be no text that a page can have."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        return ""

    def prepare_value(self, value: Any) -> Any:
        return ""


class _WithCredential(PlainForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = CredentialField()


class PasskeyForm(_WithCredential, LoginWebAuthnForm):
    pass


class SecondPasskeyForm(_WithCredential, AuthenticateWebAuthnForm):
    pass


class PasskeyAgainForm(_WithCredential, ReauthenticateWebAuthnForm):
    pass


class NewPasskeyForm(_WithCredential, AddWebAuthnForm):
    labels: ClassVar[dict[str, str]] = {
        "name": "Name",
        "passwordless": "Sign in with it alone, without a password",
    }
    help_texts: ClassVar[dict[str, str]] = {
        "name": "For your eyes: the device it is on.",
        "passwordless": "It asks for a fingerprint, a face or a PIN then. Without this it is a "
        "second factor beside the password.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["passwordless"].initial = True
        self.fields["name"].widget.attrs["maxlength"] = 60
        for name, text in self.help_texts.items():
            self.fields[name].help_text = text

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean() or {}
        except _STUMBLES:
            raise get_adapter().validation_error("incorrect_code") from None


class PasskeyNameForm(PlainForm, EditWebAuthnForm):
    labels: ClassVar[dict[str, str]] = {"name": "Name"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["maxlength"] = 60
