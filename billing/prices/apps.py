from django.apps import AppConfig


class PricesConfig(AppConfig):
    name = "billing.prices"
    verbose_name = "Prices"
