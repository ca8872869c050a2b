from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "inference.catalog"
    verbose_name = "Catalogue"
