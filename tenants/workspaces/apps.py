from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "tenants.workspaces"
    verbose_name = "Workspaces"
