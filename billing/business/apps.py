from django.apps import AppConfig


class BusinessConfig(AppConfig):
    name = "billing.business"
    label = "business"
    verbose_name = "Business"
