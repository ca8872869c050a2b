"""One's own account: signing in and up, address, password, second factors, sessions."""

from allauth.account import views
from django.urls import include, path, re_path

from tenants.users import views as own_views

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("signup/", views.signup, name="account_signup"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    # address
    path("profile/", own_views.profile, name="account_profile"),
    path("email/", views.email, name="account_email"),
    path("confirm-email/", views.email_verification_sent, name="account_email_verification_sent"),
    path("confirm-email/again/", own_views.send_confirmation_again, name="account_mail_again"),
    re_path(
        r"^confirm-email/(?P<key>[-:\w]+)/$",
        own_views.confirm_address,
        name="account_confirm_email",
    ),
    # password
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("password/reset/", views.password_reset, name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    path(
        "password/reset/key/done/",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        views.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    # second factors and passkeys
    path("2fa/", include("allauth.mfa.urls")),
    # where one is signed in
    path("sessions/", include("allauth.usersessions.urls")),
    path("sessions/<int:pk>/end/", own_views.end_session, name="end_session"),
]
