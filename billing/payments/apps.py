from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "billing.payments"
    verbose_name = "Payments"
