from django.apps import AppConfig


class AdmissionConfig(AppConfig):
    name = "billing.admission"
    verbose_name = "Admission"
