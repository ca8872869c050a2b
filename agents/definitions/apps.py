from django.apps import AppConfig


class DefinitionsConfig(AppConfig):
    name = "agents.definitions"
    verbose_name = "Agents"
