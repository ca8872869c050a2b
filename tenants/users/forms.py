"""Forms about people: signing in, one's own password, and the admin's."""

from typing import Any, ClassVar

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.utils import is_mfa_enabled
from django import forms
from django.http import HttpResponse
from django.urls import reverse
from unfold.forms import AuthenticationForm, UserChangeForm, UserCreationForm

from agentflare.names import complaint_about_name, one_line
from tenants.users.models import User

# What settings.AUTH_PASSWORD_VALIDATORS ask for.
LENGTH_AND_KIND = "10 characters or more; no common password, and not your address."


class PlainForm(forms.Form):
    """Labels without colons, and no placeholders that repeat them."""

    labels: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        for name, field in self.fields.items():
            field.label = self.labels.get(name, field.label)
            field.widget.attrs.pop("placeholder", None)
        if "password1" in self.fields:
            self.fields["password1"].help_text = LENGTH_AND_KIND


class NameField(forms.CharField):
    """What somebody or something is called, for others to read."""

    def to_python(self, value: Any) -> str:
        return one_line(str(super().to_python(value) or ""))

    def validate(self, value: str) -> None:
        super().validate(value)
        if self.max_length is not None and len(value) > self.max_length:
            return  # which is said elsewhere, and each character costs time
        if complaint := complaint_about_name(value):
            raise forms.ValidationError(complaint)


class SignInForm(PlainForm, LoginForm):
    labels: ClassVar[dict[str, str]] = {
        "login": "E-mail address",
        "remember": "Stay signed in on this device",
    }


class OwnPasswordForm(PlainForm, ChangePasswordForm):
    labels: ClassVar[dict[str, str]] = {
        "oldpassword": "Current password",
        "password1": "New password",
        "password2": "New password, again",
    }


class OperatorSignInForm(AuthenticationForm):
    """The admin's sign-in. Failed attempts are counted, together with those on the other page."""

    error_messages: ClassVar[dict[str, Any]] = {
        **AuthenticationForm.error_messages,
        "invalid_login": "No operator has this e-mail address and password.",
    }

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username")
        password = self.cleaned_data.get("password")
        if email and password:
            adapter = get_adapter(self.request)
            self.user_cache = adapter.authenticate(self.request, email=email, password=password)
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
            if is_mfa_enabled(self.user_cache):
                raise ImmediateHttpResponse(self.go_on(email))
        return dict(self.cleaned_data)

    def go_on(self, email: str) -> HttpResponse:
        """The password was right; the second factor is asked for by the people's own pages."""
        login = Login(user=self.user_cache, email=email, redirect_url=reverse("admin:index"))
        credentials = {"email": email}
        response: HttpResponse = perform_password_login(self.request, credentials, login)
        return response


class _LowerCaseEmail(forms.ModelForm):  # type: ignore[type-arg]
    def clean_email(self) -> str:
        """As UserManager.create_user keeps it: unique whatever the case."""
        return str(self.cleaned_data["email"]).lower()


class NewUserForm(_LowerCaseEmail, UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


class UserForm(_LowerCaseEmail, UserChangeForm):
    class Meta:
        model = User
        fields = ("email", "name", "password", "is_active", "is_staff", "is_superuser")
