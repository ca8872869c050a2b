from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "tenants.users"
    verbose_name = "People"
