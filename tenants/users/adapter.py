"""How django-allauth behaves here."""

import logging
from contextlib import suppress
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse

from agentflare import secrets
from agentflare.client_ip import client_ip
from tenants.members.invitations import invited_address
from tenants.users.addresses import forget_unproven
from tenants.users.factors import PURPOSE
from tenants.users.models import User

logger = logging.getLogger(__name__)

# What a mailer says when it cannot send.
MAIL_FAILURES = (OSError, SMTPException)


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {  # noqa: RUF012  # as allauth has it
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "The e-mail address or the password is not correct.",
        "incorrect_password": "This is not your current password.",
        "enter_current_password": "This is not your current password.",
        "incorrect_code": "This code is not valid. Codes change every 30 seconds and work once.",
        "too_many_login_attempts": "Too many failed attempts. Wait five minutes, then try again.",
        "rate_limited": "Too many attempts. Wait five minutes, then try again.",
        "duplicate_email": "This is your address already.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Else accounts are made by `manage.py create_tenant`."""
        return bool(settings.SIGNUP_OPEN) or invited_address(request) is not None

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account_change_password")

    def get_client_ip(self, request: HttpRequest) -> str:
        """Who has none (a unix socket) shares its limits with all others who have none."""
        return client_ip(request) or "0.0.0.0"  # noqa: S104

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Who has proven an address gets it, also when somebody signed up with it before who
        never could."""
        forget_unproven(email_address)
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError:
            template = "account/messages/email_confirmation_failed.txt"
            self.add_message(request, messages.ERROR, template, {"email": email_address.email})
            return False

    # --- Mail: links to our own address, whatever the request's Host header says ----------

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _absolute(reverse("account_confirm_email", args=[emailconfirmation.key]))

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return _absolute(path.replace("UID-KEY", key))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Raises ImmediateHttpResponse, a page that says so, when it cannot be sent."""
        links = {
            "site_url": settings.AGENTFLARE_URL,
            "login_url": _absolute(reverse("account_login")),
            "signup_url": _absolute(reverse("account_signup")),
            "lost_password_url": _absolute(reverse("account_reset_password")),
            "profile_url": _absolute(reverse("account_profile")),
        }
        message = self.render_mail(template_prefix, email, {**context, "email": email, **links})
        try:
            message.send()
        except MAIL_FAILURES:
            logger.exception("A mail (%s) could not be sent", template_prefix)
            page = render(self.request, "account/mail_failed.html", status=503)
            raise ImmediateHttpResponse(page) from None

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """What it tells has happened: a mail that fails changes nothing about that."""
        with suppress(ImmediateHttpResponse):  # logged
            super().send_notification_mail(*args, **kwargs)

    def send_account_already_exists_mail(self, email: str) -> None:
        self.send_mail("account/email/account_already_exists", email, {})


class MFAAdapter(DefaultMFAAdapter):
    error_messages = {  # noqa: RUF012
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": AccountAdapter.error_messages["incorrect_code"],
    }

    def encrypt(self, text: str) -> str:
        return secrets.encrypt(text, purpose=PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.decrypt(encrypted_text, purpose=PURPOSE)

    def generate_authenticator_name(self, user: User, type: Any) -> str:  # noqa: A002
        return "My passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        host = settings.AGENTFLARE_URL.partition("://")[2].partition("/")[0].partition(":")[0]
        return {"id": host, "name": "AgentFlare"}


def _absolute(path: str) -> str:
    return f"{settings.AGENTFLARE_URL}{path}"
