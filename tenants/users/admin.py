"""People in the admin."""

from typing import Any

import allauth.account.admin  # registers EmailAddress
import allauth.mfa.admin  # registers Authenticator
import allauth.usersessions.admin  # noqa: F401  # registers UserSession
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm

from tenants.operators.read_only import ReadOnlyAdmin
from tenants.operators.reasons import Reasoned, reason_field
from tenants.users.addresses import mark_verified
from tenants.users.forms import NewUserForm, UserForm
from tenants.users.models import Membership, SignIn, User

# Registered by the imports above; nothing here uses them.
for unused in (Group, EmailAddress, Authenticator, UserSession):
    admin.site.unregister(unused)


class MembershipInline(TabularInline):
    """Shown with a person and with a tenant."""

    model = Membership
    extra = 0
    hide_title = True
    autocomplete_fields = ("user", "tenant")
    fields = ("user", "tenant", "role", "created_at")
    readonly_fields = ("created_at",)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A role is chosen: the theme would begin with the first one, the owner's."""
        kwargs["choices"] = db_field.get_choices()
        return super().formfield_for_choice_field(db_field, request, **kwargs)


class NewPasswordForm(AdminPasswordChangeForm):
    reason = reason_field()


@admin.register(User)
class UserAdmin(Reasoned, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    form = UserForm
    add_form = NewUserForm
    change_password_form = NewPasswordForm
    change_user_password_template = "admin/user_password.html"  # noqa: S105  # a template
    inlines = (MembershipInline,)

    list_display = ("email", "name", "is_active", "is_staff", "roles", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_staff", "groups", "is_superuser"),
                "description": "Who may enter the admin may do there what their roles say, or, as "
                "a superuser, everything. The roles are described in docs/deploy.md.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return people

    @display(description="Staff roles")
    def roles(self, user: User) -> str:
        if user.is_superuser:
            return "Admin"
        return ", ".join(group.name for group in user.groups.all()) or "–"

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """An address that the operator has entered counts as the person's own."""
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            mark_verified(obj)

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002  # as Django calls it
        form_url: str = "",
    ) -> HttpResponse:
        answer = super().user_change_password(request, id, form_url)
        if request.method == "POST" and isinstance(answer, HttpResponseRedirect):
            user = User.objects.get(pk=id)
            reason = request.POST["reason"].strip()
            self.record_action(request, user, "password_set", reason, {})
        return answer


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    """Who came, from where and how, and who was not let in: of the last 90 days."""

    list_display = ("created_at", "email", "label", "method", "ip", "user_agent", "is_operator")
    list_display_links = None
    list_filter = ("outcome", ("user__is_staff", admin.BooleanFieldListFilter))
    search_fields = ("email", "ip")
    date_hierarchy = "created_at"
    list_select_related = ("user",)

    @display(
        description="Outcome",
        ordering="outcome",
        label={"Signed in": "success", "Not let in": "danger"},
    )
    def label(self, sign_in: SignIn) -> str:
        return str(sign_in.get_outcome_display()).capitalize()

    @display(description="Operator", boolean=True)
    def is_operator(self, sign_in: SignIn) -> bool:
        return bool(sign_in.user and sign_in.user.is_staff)
