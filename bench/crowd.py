"""`python -m bench crowd`: whether one hot tenant is served as fast as many.

The same load by turns from one tenant's key and from the keys of sixteen: a tenant's calls all
go to one hash in Redis, one partition of the outbox, and one account in the ledger.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence

from bench import processes
from bench.load import Calls, Target, call_repeatedly
from bench.measures import NATIVE_MODEL, Bench, percentile_ms
from bench.stack import GRANT_USD, BenchError, Stack, running_stack
from bench.upstream import Pace
from sandbox.errors import SandboxError

_MAKE = """
import io, json
from django.core.management import call_command
def told(*command):
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()
keys = []
for number in range({count}):
    slug = f"crowd-{{number}}"
    told("create_tenant", slug)
    told("grant_credit", slug, "{usd}")
    keys.append(json.loads(told("create_api_key", slug, "--json"))["key"])
print(json.dumps(keys))
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench crowd", description=__doc__)
    parser.add_argument("--tenants", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (3)")
    options = parser.parse_args(arguments)
    try:
        with running_stack() as stack:
            print(measure(stack, options.tenants, options.rounds, options.seconds))
            stack.manage("audit", "--quiet")
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print("Nothing is lost: audit clean.")
    return 0


def measure(stack: Stack, tenants: int, rounds: int, for_s: float) -> str:
    bench = Bench(stack, key=stack.key)
    bench.set_pace(Pace())
    hot = [bench.gateway(NATIVE_MODEL)]
    many = [Bench(stack, key=key).gateway(NATIVE_MODEL) for key in keys_of_more(stack, tenants)]
    _round(many, for_s=1.0)
    found: dict[str, list[Calls]] = {"one tenant": [], f"{tenants} tenants": []}
    cpu_ms: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, targets in zip(found, (hot, many), strict=True):
            before = processes.cpu_s(stack.pids["web"])
            calls = _round(targets, for_s=for_s)
            used_s = processes.cpu_s(stack.pids["web"]) - before
            found[name].append(calls)
            cpu_ms[name].append(1000 * used_s / max(1, len(calls.seconds)))
    lines = ["64 connections: calls a second, p50 and p99 in ms, processor time of a call; medians"]
    for name, each in found.items():
        middle = [
            statistics.median(values)
            for values in (
                [len(x.seconds) / x.wall_s for x in each],
                [percentile_ms(x.seconds, 50) for x in each],
                [percentile_ms(x.seconds, 99) for x in each],
                cpu_ms[name],
            )
        ]
        failed = sum(len(x.told.failures) for x in each)
        lines.append(
            "{:>12}  {:>6.0f}  {:>6.1f}  {:>6.1f}  {:>6.2f} ms".format(name, *middle)
            + (f"  {failed} FAILED" if failed else "")
        )
    return "\n".join(lines)


def keys_of_more(stack: Stack, tenants: int) -> list[str]:
    """The key of each of so many new tenants, which have credit."""
    told = stack.manage("shell", "-v", "0", "-c", _MAKE.format(count=tenants, usd=GRANT_USD))
    keys: list[str] = json.loads(told.strip().splitlines()[-1])
    return keys


def _round(targets: Sequence[Target], *, for_s: float) -> Calls:
    return asyncio.run(call_repeatedly(targets, connections=64, for_s=for_s))
