from django.apps import AppConfig


class TokensConfig(AppConfig):
    name = "inference.tokens"
    verbose_name = "Token estimates"
