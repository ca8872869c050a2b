from django.urls import path

from tenants.members import invitation_pages, pages

_TEAM = "t/<slug:slug>/team/"

urlpatterns = [
    path("invitations/<str:token>/", invitation_pages.invitation, name="invitation"),
    path("invitations/<int:invitation_id>/join/", invitation_pages.join, name="invitation_join"),
    path(_TEAM, pages.team_list, name="team"),
    path(f"{_TEAM}invite/", pages.team_invite, name="team_invite"),
    path(
        f"{_TEAM}invitations/<int:invitation_id>/again/",
        pages.invitation_again,
        name="invitation_again",
    ),
    path(
        f"{_TEAM}invitations/<int:invitation_id>/revoke/",
        pages.invitation_revoke,
        name="invitation_revoke",
    ),
    path(f"{_TEAM}leave/", pages.team_leave, name="team_leave"),
    path(f"{_TEAM}<int:user_id>/", pages.team_member, name="member"),
    path(f"{_TEAM}<int:user_id>/role/", pages.member_role, name="member_role"),
    path(f"{_TEAM}<int:user_id>/remove/", pages.member_remove, name="member_remove"),
    path(f"{_TEAM}<int:user_id>/keys/", pages.member_keys, name="member_keys"),
    path(f"{_TEAM}<int:user_id>/transfer/", pages.member_transfer, name="member_transfer"),
]
