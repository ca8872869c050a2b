from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "inference.catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        from billing.dashboard.offered import tell_offered
        from inference.catalog.selectors import catalogue

        tell_offered(lambda: list({**catalogue().offers, **catalogue().routes}))
