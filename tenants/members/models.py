"""Invitations into workspaces, and when members were last there: shared schema."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from tenants.users.models import Membership, Role

_TO_THE_NEAREST = timedelta(minutes=5)


class Invitation(models.Model):
    """Somebody may join a tenant: whoever has the link that was mailed, and that address.

    The link's token is kept as a digest; sending it again makes another, which ends the first.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        EXPIRED = "expired"
        REVOKED = "revoked"
        ACCEPTED = "accepted"

    tenant = models.ForeignKey(
        "registry.Tenant", on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="invitations_sent",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(default=timezone.now)
    times_sent = models.PositiveSmallIntegerField(default=1)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-id",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=models.Q(revoked_at=None, accepted_at=None),
                name="invitation_one_open",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "sent_at"], name="invitation_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.email} into {self.tenant} as {self.role}"

    @property
    def state(self) -> "Invitation.State":
        if self.accepted_at:
            return self.State.ACCEPTED
        if self.revoked_at:
            return self.State.REVOKED
        if self.expires_at <= timezone.now():
            return self.State.EXPIRED
        return self.State.PENDING


class Visit(models.Model):
    """When a member last opened a page of the workspace, to a few minutes."""

    membership = models.OneToOneField(
        Membership, primary_key=True, on_delete=models.CASCADE, related_name="visit"
    )
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.membership} at {self.seen_at}"


def note_visit(membership: Membership) -> None:
    """Note that a member is here, where that was not noted a few minutes ago.

    membership: with its visit, if there is one. Two at once do no harm.
    """
    now = timezone.now()
    visit = getattr(membership, "visit", None)
    if visit is None or visit.seen_at < now - _TO_THE_NEAREST:
        Visit.objects.bulk_create(
            [Visit(membership=membership, seen_at=now)],
            update_conflicts=True,
            unique_fields=["membership"],
            update_fields=["seen_at"],
        )
