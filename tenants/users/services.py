"""Making people and giving them roles."""

from django.contrib.auth.models import Group
from django.db import transaction

from tenants.registry.models import Tenant
from tenants.users.addresses import is_verified, mark_verified
from tenants.users.models import Membership, Role, User


@transaction.atomic
def add_member(*, tenant: Tenant, email: str, role: Role, password: str | None = None) -> User:
    """Give the person with this address a role in the tenant.

    A person who is not known yet is made, with `password`, and the address counts as theirs;
    the password of a known one is left alone. A repeat changes the role.
    """
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password)
        mark_verified(user)
    elif password and not is_verified(user):
        # Somebody signed up with this address and never proved it: their password goes.
        user.set_password(password)
        user.save(update_fields=["password"])
        mark_verified(user)
    Membership.objects.update_or_create(tenant=tenant, user=user, defaults={"role": role})
    return user


@transaction.atomic
def create_operator(*, email: str, password: str, role: str = "", if_missing: bool = False) -> User:
    """A person who may enter the admin. `if_missing`: one that exists is left alone.

    role: of tenants.users.staff; empty: all rights. Raises ValueError when the address is taken.
    """
    email = User.objects.normalize_email(email).lower()
    if user := User.objects.filter(email=email).first():
        if if_missing:
            return user
        raise ValueError(f"there is already a user {email}")
    if role:
        user = User.objects.create_user(email, password, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
    else:
        user = User.objects.create_superuser(email, password)
    mark_verified(user)
    return user
