from collections import Counter

from django.apps import AppConfig


class UpstreamsConfig(AppConfig):
    name = "inference.upstreams"
    verbose_name = "Upstreams"

    def ready(self) -> None:
        from agentflare import metrics
        from billing.admission import live_holds
        from billing.business.health import add_findings
        from inference.upstreams import watching
        from inference.upstreams.gauges import gauges
        from inference.upstreams.overview import findings

        watching.tell_running(
            lambda: Counter(
                hold.event.upstream for hold in live_holds.running() if hold.event.upstream
            )
        )
        add_findings(findings)
        metrics.gauges.append(gauges)
