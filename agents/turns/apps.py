from django.apps import AppConfig


class TurnsConfig(AppConfig):
    name = "agents.turns"
    verbose_name = "Turns"
