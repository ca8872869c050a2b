from django.apps import AppConfig


class UpstreamsConfig(AppConfig):
    name = "inference.upstreams"
    verbose_name = "Upstreams"
