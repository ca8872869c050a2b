"""The page that a mailed invitation leads to, and what comes of it."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agentflare.client_ip import client_ip
from tenants.audit.services import Actor
from tenants.members import invitations
from tenants.members.errors import TeamError
from tenants.members.models import Invitation
from tenants.users.addresses import is_verified
from tenants.users.models import Membership, User

State = Invitation.State


@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Asks before anything happens: mail programs open links by themselves."""
    found = invitations.find_invitation(token)
    if found is None:
        return render(request, "team/invitation_unknown.html", status=404)
    user = request.user if isinstance(request.user, User) else None
    if found.state == State.ACCEPTED and user and _is_member(found, user):
        return redirect("overview", slug=found.tenant.slug)
    if request.method == "POST" and user:
        return _accept(request, found, user) or redirect("invitation", token=token)
    if user is None and found.state == State.PENDING:
        # Whoever is invited may make an account, also where others may not.
        request.session[invitations.SESSION] = found.pk
    is_theirs = user is not None and user.email.lower() == found.email
    back = urlencode({"next": request.path})
    context = {
        "invitation": found,
        "state": found.state.value,
        "is_theirs": is_theirs,
        "is_unproven": is_theirs and user is not None and not is_verified(user),
        "sign_in": f"{reverse('account_login')}?{back}",
        "sign_up": f"{reverse('account_signup')}?{back}" if _may_sign_up(request) else None,
    }
    status = 200 if found.state == State.PENDING else 410
    return render(request, "team/invitation.html", context, status=status)


def _is_member(found: Invitation, user: User) -> bool:
    return Membership.objects.filter(tenant=found.tenant, user=user).exists()


def _may_sign_up(request: HttpRequest) -> bool:
    return bool(get_adapter(request).is_open_for_signup(request))


@require_POST
@login_required
def join(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """Accept what one's list of workspaces has shown."""
    user = request.user
    assert isinstance(user, User)
    waiting = {row.pk: row for row in invitations.waiting_for(user)}
    if invitation_id not in waiting:
        messages.error(request, "This invitation is gone. Ask for another one.")
        return redirect("home")
    return _accept(request, waiting[invitation_id], user) or redirect("home")


def _accept(request: HttpRequest, found: Invitation, user: User) -> HttpResponse | None:
    """None: it is refused, and a message says why."""
    actor = Actor(user.email, client_ip(request), user.pk)
    try:
        invitations.accept(invitation=found, user=user, actor=actor)
    except TeamError as exc:
        messages.error(request, str(exc))
        return None
    messages.success(request, f"Welcome to {found.tenant.name}.")
    return redirect("overview", slug=found.tenant.slug)
