"""Making people and giving them roles."""

from django.db import transaction

from tenants.registry.models import Tenant
from tenants.users.models import Membership, Role, User


@transaction.atomic
def add_member(*, tenant: Tenant, email: str, role: Role, password: str | None = None) -> User:
    """Give the person with this address a role in the tenant.

    A person who is not known yet is made, with `password`; that of a known one is left
    alone. A repeat changes the role.
    """
    email = User.objects.normalize_email(email).lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password)
    Membership.objects.update_or_create(tenant=tenant, user=user, defaults={"role": role})
    return user


@transaction.atomic
def create_operator(*, email: str, password: str, if_missing: bool = False) -> User:
    """A person with all rights in the admin. `if_missing`: one that exists is left alone.

    Raises ValueError when the address is taken.
    """
    email = User.objects.normalize_email(email).lower()
    if user := User.objects.filter(email=email).first():
        if if_missing:
            return user
        raise ValueError(f"there is already a user {email}")
    return User.objects.create_superuser(email, password)
