from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "tenants.members"
    verbose_name = "Members"
