from django.apps import AppConfig


class StripeConfig(AppConfig):
    name = "billing.stripe"
    verbose_name = "Stripe"
