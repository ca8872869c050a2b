import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentflare.redis_store import RedisDownError
from billing.archive.files import ArchiveError
from billing.explain import find_call, parse_request_id, tell
from tenants.registry.models import Tenant
from tenants.registry.selectors import TenantNotFoundError, tenant_by_slug


class Command(BaseCommand):
    help = (
        "Tell the whole story of one call: key, route, attempts, estimate, hold, capture, how "
        "its use is known, price version, journal entry. Read-only."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("request_id", help="the x-request-id of its answer: req_…")
        parser.add_argument("--tenant", metavar="SLUG", help="whose it is; else all are searched")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            request_id = parse_request_id(options["request_id"])
        except ValueError:
            raise CommandError(f"{options['request_id']!r} is no request id: req_…") from None
        slug = options["tenant"]
        try:
            tenants = [tenant_by_slug(slug)] if slug else list(Tenant.objects.all())
            call = find_call(request_id, tenants)
        except (TenantNotFoundError, ArchiveError) as exc:
            raise CommandError(str(exc)) from None
        except RedisDownError:
            raise CommandError(
                "It is not booked, and Redis, which would know more, does not answer"
            ) from None
        if call is None:
            raise CommandError(
                "There is no such call. One that was refused leaves no record; one that ended "
                "within the last second may not have arrived yet"
            )
        if options["json"]:
            self.stdout.write(json.dumps(dict(tell(call)), ensure_ascii=False))
            return
        for name, value in tell(call):
            self.stdout.write(f"{name:20} {value}")
