from django.apps import AppConfig
from django.core import checks


class UsersConfig(AppConfig):
    name = "tenants.users"
    verbose_name = "People"

    def ready(self) -> None:
        from tenants.users import sign_ins
        from tenants.users.checks import check_mail

        sign_ins.connect()
        checks.register(check_mail)
