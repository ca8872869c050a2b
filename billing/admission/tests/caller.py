"""A process that calls and calls, as fast as it may: one of several in a test.

Says "ready", waits for a line, calls until another line comes, and says how each call went.
Arguments: tenant code, requests per minute, seed.
"""

import random
import sys
import threading
import time

import django


def main(tenant_code: str, limit: int, seed: int) -> None:
    from types import SimpleNamespace

    from django.conf import settings

    from agentflare import errors
    from billing.admission.rules import Rules
    from billing.admission.services import admit, capture
    from billing.admission.tests.builders import event
    from tenants.limits import Limits

    settings.FALLBACK_GRACE_S = 1
    rules = Rules(tenant=Limits(requests_per_minute=limit))
    cast, chance, stopped = SimpleNamespace(code=tenant_code), random.Random(seed), []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    def listen() -> None:
        sys.stdin.readline()
        stopped.append(True)

    threading.Thread(target=listen, daemon=True).start()
    while not stopped:
        time.sleep(chance.uniform(0, 1.2))
        try:
            hold = admit(event=event(cast, 10), tokens=10, rules=rules)
        except errors.GatewayError as exc:
            sys.stdout.write(f"refused:{exc.code}\n")
            continue
        sys.stdout.write("admitted\n")
        if chance.random() < 0.7:
            capture(hold, hold.event.with_(cost_nusd=0, status="completed"))


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
