"""Forms about a workspace's team."""

from typing import Any

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.core import ratelimit
from django import forms
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest

from tenants.members.permissions import ABOUT_ROLES, roles_given_by
from tenants.users.forms import PlainForm
from tenants.users.models import User


class RoleField(forms.ChoiceField):
    """The roles that somebody may give, with what each may do."""

    def __init__(self, own_role: str, **options: Any) -> None:
        choices = [
            (role.value, f"{role.label}: {ABOUT_ROLES[role]}") for role in roles_given_by(own_role)
        ]
        super().__init__(choices=choices, **options)


class InviteForm(PlainForm):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Whom do you want to invite?"},
    )

    def __init__(self, *args: Any, own_role: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"] = RoleField(own_role, label="Role", initial="developer")


class RoleForm(PlainForm):
    def __init__(self, *args: Any, own_role: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"] = RoleField(own_role, label="Role")


class RemoveForm(PlainForm):
    with_keys = forms.BooleanField(
        required=False, label="Revoke the API keys they made", initial=True
    )


class PasswordAgainForm(PlainForm):
    """Asks who is at the keyboard, before what cannot be taken back.

    Who has no password (passkeys alone) must have signed in a short while ago.
    """

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request = request
        assert isinstance(request.user, User)
        self._user = request.user
        if not self._user.has_usable_password():
            del self.fields["password"]

    def clean(self) -> dict[str, Any]:
        if "password" not in self.fields:
            if not did_recently_reauthenticate(self._request):
                raise forms.ValidationError("Sign out, sign in again, and repeat this at once.")
        elif password := self.cleaned_data.get("password"):
            if not ratelimit.consume(self._request, action="reauthenticate", user=self._user):
                self.add_error("password", "Too many attempts. Wait a minute, then try again.")
            # Not User.check_password: where it stores the digest anew, every session would end.
            elif not check_password(password, self._user.password):
                self.add_error("password", "This is not your password.")
        return dict(self.cleaned_data)
