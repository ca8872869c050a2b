"""Which address belongs to whom: django-allauth's EmailAddress beside User.email."""

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import QuerySet

from tenants.users.models import User


@transaction.atomic
def mark_verified(user: User) -> None:
    """The person's address counts as theirs, without a mail: the operator vouches for it.

    A repeat changes nothing. Whatever other address the person had is forgotten.
    """
    theirs = EmailAddress.objects.filter(user=user)
    theirs.exclude(email=user.email).delete()
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )


def is_verified(user: User) -> bool:
    return bool(EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists())


def forget_unproven(address: EmailAddress) -> None:
    """Delete whoever else signed up with this address, never proved it, and so never came in.

    Anybody can type another's address into the sign-up page; that must not keep it from its
    owner.
    """
    unproven_people().filter(email=address.email).exclude(pk=address.user_id).delete()


def unproven_people() -> QuerySet[User]:
    """Who signed up, never proved the address, and so never came in anywhere."""
    nobody = User.objects.filter(last_login=None, memberships=None, is_staff=False)
    return nobody.filter(emailaddress__verified=False).exclude(emailaddress__verified=True)
