from django.apps import AppConfig


class ReconciliationConfig(AppConfig):
    name = "billing.reconciliation"
    verbose_name = "Reconciliation"
