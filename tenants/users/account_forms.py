"""The forms of one's own account, as django-allauth has them, in our words."""

from typing import Any, ClassVar

from allauth.account.forms import (
    AddEmailForm,
    ReauthenticateForm,
    ResetPasswordKeyForm,
    SetPasswordForm,
    SignupForm,
)
from allauth.account.forms import ResetPasswordForm as AskForResetForm
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from tenants.members.invitations import invited_address
from tenants.users.addresses import mark_verified
from tenants.users.forms import NameField, PlainForm
from tenants.users.models import User

# A code is valid for its own 30 seconds, and those before and after them.
CODE_LIFE_S = 120


class SignUpForm(PlainForm, SignupForm):
    labels: ClassVar[dict[str, str]] = {"email": "E-mail address", "password1": "Password"}

    def clean_email(self) -> str:
        """An address to which somebody merely wishes to change is still free."""
        email = str(super().clean_email())
        if not settings.SIGNUP_OPEN and email.lower() != invited_address(context.request):
            raise forms.ValidationError("Sign up with the address that was invited.")
        self.account_already_exists = User.objects.filter(email=email).exists()
        return email

    def try_save(self, request: HttpRequest) -> Any:
        """Two sign-ups with one address at the same moment: the later one is told by mail that
        there is an account, as if it had come a minute later."""
        if self.account_already_exists:
            # As long as a new account takes: a password is digested slowly.
            User().set_password(self.cleaned_data["password1"])
        try:
            with transaction.atomic():
                return super().try_save(request)
        except IntegrityError:
            self.account_already_exists = True
            return super().try_save(request)


class NewAddressForm(PlainForm, AddEmailForm):
    labels: ClassVar[dict[str, str]] = {"email": "New e-mail address"}


class FirstPasswordForm(PlainForm, SetPasswordForm):
    labels: ClassVar[dict[str, str]] = {"password1": "Password", "password2": "Password, again"}


class LostPasswordForm(PlainForm, AskForResetForm):
    labels: ClassVar[dict[str, str]] = {"email": "E-mail address"}
    users: list[User]

    def clean_email(self) -> str:
        """Whose address it is; not who merely wishes to change to it."""
        email = str(super().clean_email())
        self.users = [user for user in self.users if user.email == email.lower()]
        return email


class ResetPasswordForm(PlainForm, ResetPasswordKeyForm):
    labels: ClassVar[dict[str, str]] = {
        "password1": "New password",
        "password2": "New password, again",
    }

    @transaction.atomic
    def save(self) -> None:
        """The link was mailed: who follows it has proven the only address there is."""
        super().save()
        assert isinstance(self.user, User)
        if list(EmailAddress.objects.filter(user=self.user).values_list("email", flat=True)) == [
            self.user.email
        ]:
            mark_verified(self.user)


class PasswordAgainForm(PlainForm, ReauthenticateForm):
    labels: ClassVar[dict[str, str]] = {"password": "Your password"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].widget.attrs["autofocus"] = True


class _OneTimeCode(PlainForm):
    labels: ClassVar[dict[str, str]] = {"code": "Code from your app, or a recovery code"}
    user: User
    authenticator: Authenticator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs |= {"inputmode": "numeric", "autofocus": True}

    def clean_code(self) -> str:
        """Each code of an app works once for as long as it is valid; allauth forgets sooner."""
        code = str(super().clean_code())  # type: ignore[misc]
        used = f"second-factor-used:{self.user.pk}:{code.strip()}"
        is_app = self.authenticator.type == Authenticator.Type.TOTP
        if is_app and not cache.add(used, 1, CODE_LIFE_S):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_OneTimeCode, mfa_forms.AuthenticateForm):
    pass


class CodeAgainForm(_OneTimeCode, mfa_forms.ReauthenticateForm):
    pass


class FirstCodeForm(PlainForm, ActivateTOTPForm):
    labels: ClassVar[dict[str, str]] = {"code": "Code that the app shows now"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs |= {"inputmode": "numeric"}


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("name",)
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {"name": NameField}
        labels: ClassVar[dict[str, str]] = {"name": "Your name"}
        help_texts: ClassVar[dict[str, str]] = {
            "name": "Shown to the people of your workspaces. May be left empty."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["name"].widget.attrs["autocomplete"] = "name"
