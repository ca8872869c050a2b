from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "inference.catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        from billing.business.health import add_findings
        from billing.dashboard.offered import tell_offered
        from inference.catalog.findings import findings
        from inference.catalog.selectors import catalogue

        add_findings(findings)
        tell_offered(lambda: list({**catalogue().offers, **catalogue().routes}))
