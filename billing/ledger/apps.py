from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "billing.ledger"
    verbose_name = "Ledger"
