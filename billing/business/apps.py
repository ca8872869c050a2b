from django.apps import AppConfig


class BusinessConfig(AppConfig):
    name = "billing.business"
    label = "business"
    verbose_name = "Business"

    def ready(self) -> None:
        from agentflare import counters, metrics
        from billing.business.gauges import gauges

        metrics.gauges.extend((gauges, counters.gauges))
