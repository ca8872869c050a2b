from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    name = "billing.onboarding"
    verbose_name = "Sign-up"
