"""Pages of one's own account that django-allauth does not have, or has otherwise."""

from typing import Any

from allauth.account.internal.decorators import login_not_required
from allauth.account.internal.flows.email_verification import (
    send_verification_email_at_login,
)
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage, LoginStageController
from allauth.account.views import ConfirmEmailView
from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from tenants.users.account_forms import ProfileForm
from tenants.users.models import User


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """One's name; the way to everything else about the account."""
    assert isinstance(request.user, User)
    # A copy: a name that is refused must not stand in the page's head.
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Your name is saved.")
        return redirect("account_profile")
    waiting = EmailAddress.objects.filter(user=request.user, verified=False).first()
    return render(request, "account/profile.html", {"form": form, "waiting": waiting})


@login_required
@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign one of one's own browsers out, now."""
    session = get_object_or_404(UserSession, pk=pk, user=request.user)
    is_here = session.is_current()
    end_sessions(request, [session])
    if is_here:
        return redirect("account_login")
    messages.success(request, "That browser is signed out.")
    return redirect("usersessions_list")


@login_not_required
@require_POST
def send_confirmation_again(request: HttpRequest) -> HttpResponse:
    """Another mail for somebody who waits for it.

    Says the same whether a mail was sent or not: nobody learns here who has an account.
    """
    stage = LoginStageController.enter(request, EmailVerificationStage.key)
    if stage:
        send_verification_email_at_login(request, stage.login)
    list(messages.get_messages(request))  # allauth's own word tells whether it was sent
    messages.info(request, "If a minute has passed since the last mail, another one is on its way.")
    return redirect("account_email_verification_sent")


@method_decorator(never_cache, name="dispatch")
class ConfirmAddressView(ConfirmEmailView):
    """The link in the mail; one that does not work any more says why."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if not context["confirmation"]:
            context["reason"] = reason_of(self.kwargs["key"])
        return context


def reason_of(key: str) -> str:
    """Why a link confirms nothing: it is "used", "expired" or "wrong"."""
    age_s = settings.ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS * 24 * 3600
    try:
        address_id = signing.loads(key, salt="account")
        is_known = EmailAddress.objects.filter(pk=address_id).exists()
        signing.loads(key, salt="account", max_age=age_s)
    except signing.SignatureExpired:
        return "expired" if is_known else "used"
    except signing.BadSignature:
        return "wrong"
    return "used"


confirm_address = ConfirmAddressView.as_view()
