"""The team of a workspace: who is in it, who is invited, what each may do."""

from typing import Any

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from tenants.keys.models import ApiKey
from tenants.members import invitations, team
from tenants.members.access import Workspace, workspace_page
from tenants.members.errors import NotAMemberError, TeamError
from tenants.members.forms import InviteForm, PasswordAgainForm, RemoveForm, RoleForm
from tenants.members.models import Invitation
from tenants.members.permissions import Permission, may_give
from tenants.members.team import Member
from tenants.users.models import Role

_NOT_MAILED = (
    "The mail to {} could not be sent now. The invitation stands: send it again in a minute."
)


@workspace_page()
def team_list(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return _team_page(request, workspace, InviteForm(own_role=workspace.role))


def _team_page(
    request: HttpRequest, workspace: Workspace, form: InviteForm, *, status: int = 200
) -> HttpResponse:
    members = team.members_of(workspace.tenant)
    may_manage = workspace.may(Permission.MANAGE_TEAM)
    owners = [each for each in members if each.role == Role.OWNER and each.user.is_active]
    context = {
        "members": members,
        "invitations": invitations.pending_of(workspace.tenant) if may_manage else [],
        "form": form,
        "is_last_owner": [member.user for member in owners] == [workspace.user],
    }
    return render(request, "team/list.html", context, status=status)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def team_invite(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    form = InviteForm(request.POST, own_role=workspace.role)
    if form.is_valid():
        back = reverse("team", kwargs={"slug": workspace.slug})
        if form.cleaned_data["role"] == Role.OWNER and (asked := _who_is_there(request, back)):
            return asked
        try:
            invitation, is_mailed = invitations.invite(
                tenant=workspace.tenant,
                email=form.cleaned_data["email"],
                role=form.cleaned_data["role"],
                by=workspace.user,
                actor=workspace.acting(request),
            )
        except TeamError as exc:
            form.add_error("email", str(exc))
        else:
            _tell_mailed(request, invitation, is_mailed)
            return redirect("team", slug=workspace.slug)
    return _team_page(request, workspace, form, status=422)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def invitation_again(
    request: HttpRequest, workspace: Workspace, invitation_id: int
) -> HttpResponse:
    try:
        invitation, is_mailed = invitations.resend(
            tenant=workspace.tenant,
            invitation_id=invitation_id,
            by=workspace.user,
            actor=workspace.acting(request),
        )
    except Invitation.DoesNotExist:
        raise Http404 from None
    except TeamError as exc:
        messages.error(request, str(exc))
    else:
        _tell_mailed(request, invitation, is_mailed)
    return redirect("team", slug=workspace.slug)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def invitation_revoke(
    request: HttpRequest, workspace: Workspace, invitation_id: int
) -> HttpResponse:
    try:
        invitation = invitations.revoke(
            tenant=workspace.tenant,
            invitation_id=invitation_id,
            by=workspace.user,
            actor=workspace.acting(request),
        )
    except Invitation.DoesNotExist:
        raise Http404 from None
    except TeamError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"The invitation of {invitation.email} is revoked.")
    return redirect("team", slug=workspace.slug)


def _tell_mailed(request: HttpRequest, invitation: Invitation, is_mailed: bool) -> None:
    if is_mailed:
        messages.success(
            request,
            f"{invitation.email} is invited as {invitation.role}. The link works until "
            f"{invitation.expires_at:%Y-%m-%d}.",
        )
    else:
        messages.warning(request, _NOT_MAILED.format(invitation.email))


# --- one member ---------------------------------------------------------------------


@workspace_page(Permission.MANAGE_TEAM)
def team_member(request: HttpRequest, workspace: Workspace, user_id: int) -> HttpResponse:
    return _member_page(request, workspace, _find(workspace, user_id))


def _member_page(
    request: HttpRequest, workspace: Workspace, member: Member, *, status: int = 200, **forms: Form
) -> HttpResponse:
    role_form = RoleForm(own_role=workspace.role, initial={"role": member.role})
    context: dict[str, Any] = {
        "member": member,
        "keys": team.keys_of(member.user),
        "may_change": may_give(workspace.role, member.role),
        "is_oneself": member.user == workspace.user,
        "role_form": role_form,
        "remove_form": RemoveForm(),
        "transfer_form": PasswordAgainForm(request=request),
        **forms,
    }
    return render(request, "team/member.html", context, status=status)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def member_role(request: HttpRequest, workspace: Workspace, user_id: int) -> HttpResponse:
    member = _find(workspace, user_id)
    form = RoleForm(request.POST, own_role=workspace.role)
    if form.is_valid():
        role = form.cleaned_data["role"]
        back = reverse("member", kwargs={"slug": workspace.slug, "user_id": user_id})
        if role == Role.OWNER != member.role and (asked := _who_is_there(request, back)):
            return asked
        try:
            team.change_role(
                tenant=workspace.tenant,
                user_id=user_id,
                role=role,
                by=workspace.user,
                actor=workspace.acting(request),
            )
        except TeamError as exc:
            form.add_error("role", str(exc))
        else:
            messages.success(request, f"{member.user.email} is {role} now.")
            return redirect("team", slug=workspace.slug)
    return _member_page(request, workspace, member, status=422, role_form=form)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def member_remove(request: HttpRequest, workspace: Workspace, user_id: int) -> HttpResponse:
    member = _find(workspace, user_id)
    form = RemoveForm(request.POST)
    form.is_valid()
    if member.user == workspace.user:
        messages.error(request, "To go yourself, leave the workspace below.")
        return redirect("team", slug=workspace.slug)
    try:
        keys = team.remove_member(
            tenant=workspace.tenant,
            user_id=user_id,
            by=workspace.user,
            actor=workspace.acting(request),
            with_keys=form.cleaned_data["with_keys"],
        )
    except TeamError as exc:
        form.add_error(None, str(exc))
        return _member_page(request, workspace, member, status=422, remove_form=form)
    revoked = f" {_counted(keys)} revoked." if keys else ""
    messages.success(request, f"{member.user.email} is no longer a member.{revoked}")
    return redirect("team", slug=workspace.slug)


@require_POST
@workspace_page(Permission.MANAGE_TEAM)
def member_keys(request: HttpRequest, workspace: Workspace, user_id: int) -> HttpResponse:
    """Revoke those they made."""
    member = _find(workspace, user_id)
    try:
        keys = team.revoke_keys(
            tenant=workspace.tenant,
            user_id=user_id,
            by=workspace.user,
            actor=workspace.acting(request),
        )
    except TeamError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"{_counted(keys)} of {member.user.email} revoked.")
    return redirect("member", slug=workspace.slug, user_id=user_id)


def _counted(keys: list[ApiKey]) -> str:
    return f"{len(keys)} API key{'s' * (len(keys) != 1)}"


@require_POST
@workspace_page(Permission.OWN)
def member_transfer(request: HttpRequest, workspace: Workspace, user_id: int) -> HttpResponse:
    member = _find(workspace, user_id)
    form = PasswordAgainForm(request.POST, request=request)
    if form.is_valid():
        try:
            team.transfer_ownership(
                tenant=workspace.tenant,
                user_id=user_id,
                by=workspace.user,
                actor=workspace.acting(request),
            )
        except TeamError as exc:
            form.add_error(None, str(exc))
        else:
            messages.success(request, f"{member.user.email} is the owner now. You are an admin.")
            return redirect("team", slug=workspace.slug)
    return _member_page(request, workspace, member, status=422, transfer_form=form)


@require_POST
@workspace_page()
def team_leave(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    try:
        team.leave(tenant=workspace.tenant, user=workspace.user, actor=workspace.acting(request))
    except NotAMemberError:
        raise Http404 from None
    except TeamError:
        messages.error(
            request, "You are the only owner: hand the workspace over first, or close it."
        )
        return redirect("team", slug=workspace.slug)
    messages.success(request, f"You have left {workspace.tenant.name}.")
    return redirect("home")


def _who_is_there(request: HttpRequest, back: str) -> HttpResponse | None:
    """Before somebody becomes an owner, who can then do all that closing and handing over ask a
    password for. None: whoever sits there has just proven who they are."""
    if did_recently_reauthenticate(request):
        return None
    messages.info(
        request, "Nobody becomes an owner by a mere click: confirm that it is you, then repeat it."
    )
    return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")


def _find(workspace: Workspace, user_id: int) -> Member:
    for member in team.members_of(workspace.tenant):
        if member.user.pk == user_id:
            return member
    raise Http404
