"""`python -m bench estimates [--fit] [--quick] [--json]`: do estimates of prompt tokens hold?"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bench.estimates.ai_models import UNKNOWN
from bench.estimates.figures import (
    WIDTHS,
    Figures,
    Learned,
    Outcome,
    figures,
    measure_learning,
    measure_start_values,
)

_HEAD = "   calls  covered  missed     by   p50   p95   max  over 1.5      by"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench estimates", description=__doc__)
    parser.add_argument("--fit", action="store_true", help="first measure the start values anew")
    parser.add_argument("--quick", action="store_true", help="a quarter of the texts")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    if options.fit:
        from bench.estimates.fit import write_factors

        write_factors()
    per_length = 6 if options.quick else 24
    start = measure_start_values(per_length=per_length)
    learned = measure_learning(per_kind=400 if options.quick else 2_500)
    if options.json:
        print(json.dumps(as_json(start, learned), indent=1))
    else:
        print(as_text(start, learned))
        print(f"Took {time.monotonic() - started:.0f} s.")
    return 0


def as_json(start: dict[str, list[Outcome]], learned: list[Learned]) -> dict[str, Any]:
    return {
        "start": {name: asdict(figures(found)) for name, found in start.items()},
        "learned": [asdict(one) for one in learned],
    }


def as_text(start: dict[str, list[Outcome]], learned: list[Learned]) -> str:
    everything = [outcome for found in start.values() for outcome in found]
    ordinary = [outcome for outcome in everything if outcome.is_ordinary]
    known = [o for name, found in start.items() for o in found
             if o.is_ordinary and name != UNKNOWN.label]  # fmt: skip
    lines = ["Start values, on texts they were not made from", "", " " * 26 + _HEAD]
    lines += [
        f"{name:<26}{row(figures(found))}"
        for name, found in {
            "all": everything,
            "prose, code, JSON": ordinary,
            "… vocabulary known": known,
        }.items()
    ]
    lines += ["", "By model (prose, code, JSON)"]
    lines += table(ordinary_only(start))
    lines += ["", "By length (… vocabulary known)"]
    lines += table(grouped(known, lambda o: WIDTHS[o.chars]))
    lines += ["", "By script or form (… vocabulary known)"]
    lines += table(grouped([o for name, found in start.items() if name != UNKNOWN.label
                            for o in found], lambda o: o.kind))  # fmt: skip
    lines += ["", "Learning: prose, code and JSON, before and after", "", " " * 26 + _HEAD]
    for one in learned:
        lines.append(f"{one.model:<26}{row(one.before)}")
        lines.append(f"  {one.cells:>3} cells lowered     {row(one.after)}")
    return "\n".join(lines)


def ordinary_only(start: dict[str, list[Outcome]]) -> dict[str, list[Outcome]]:
    return {name: [o for o in found if o.is_ordinary] for name, found in start.items()}


def grouped(found: list[Outcome], key: Callable[[Outcome], str]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        groups[key(outcome)].append(outcome)
    return groups


def table(groups: dict[str, list[Outcome]]) -> list[str]:
    return [f"{name:<26}{row(figures(found))}" for name, found in groups.items()]


def row(x: Figures) -> str:
    return (
        f"{x.calls:>8} {x.covered:>8.3%} {x.missed:>7} {x.worst_miss:>6.1%} "
        f"{x.ratio_p50:>5.2f} {x.ratio_p95:>5.2f} {x.ratio_max:>5.2f} {x.above:>9.2%} "
        f"{x.above_p95:>7}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
