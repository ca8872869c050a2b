from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "billing.exports"
    verbose_name = "Exports"
