"""How long calls take, as counts by bucket: such counts can be added up, percentiles cannot."""

from collections.abc import Mapping

# Upper bounds, in ms. What is slower than the last is in one more bucket.
BOUNDS_MS = (
    *(25, 50, 100, 150, 200, 300, 400, 500, 750),
    *(1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_500),
    *(10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000),
)


def percentile_ms(counts: Mapping[int, int], share: float) -> int | None:
    """How long so large a share of calls took at most; None of no calls.

    counts: by the bucket's number. Within a bucket calls are taken to be spread evenly; of those
    beyond the last bound only that is known.
    """
    total = sum(counts.values())
    if not total:
        return None
    wanted, seen = share * total, 0
    for bucket in sorted(counts):
        if seen + counts[bucket] >= wanted:
            if bucket >= len(BOUNDS_MS):
                break
            low = BOUNDS_MS[bucket - 1] if bucket else 0
            part = (wanted - seen) / counts[bucket]
            return round(low + part * (BOUNDS_MS[bucket] - low))
        seen += counts[bucket]
    return BOUNDS_MS[-1]
