from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "inference.catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        from billing.business.health import add_findings
        from billing.dashboard.offered import tell_offered
        from inference.catalog import fresh
        from inference.catalog.findings import findings
        from inference.catalog.selectors import catalogue, testable
        from inference.upstreams import watching
        from inference.upstreams.hooks import tell_catalogue

        add_findings(findings)
        watching.on_tick.append(fresh.look)
        tell_catalogue(testable=testable, changed=fresh.changed)
        tell_offered(lambda: list({**catalogue().offers, **catalogue().routes}))
