from django.apps import AppConfig
from django.core import checks


class UsersConfig(AppConfig):
    name = "tenants.users"
    verbose_name = "People"

    def ready(self) -> None:
        from tenants.users.checks import check_mail

        checks.register(check_mail)
