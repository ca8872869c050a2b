"""Documents in the order of their relevance to a query."""

import math

from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "rerank"
KINDS = ("rerank",)
# An embedding model that scores documents as well.
_ALSO = "/bge-m3"
_BATCH = 100

Scores = list[tuple[int, float]]


class RerankTask:
    """Each document is scored by itself, so many of them may be scored in several calls."""

    def __init__(self, query: str, texts: list[str]) -> None:
        self.query = query
        self.texts = texts

    def prepare(self, offer: Offer) -> Prepared:
        if _ALSO not in offer.upstream_model:
            require_kind(offer, KINDS, endpoint=ENDPOINT)
        requests = [
            JsonRequest(
                {
                    "query": self.query,
                    "contexts": [{"text": text} for text in self.texts[start : start + _BATCH]],
                }
            )
            for start in range(0, len(self.texts), _BATCH)
        ]
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        """(position in this call, score) of each of its documents."""
        result = answer.result()
        count = len(native.fields_of(request)["contexts"])
        scores: Scores = [(int(row["id"]), float(row["score"])) for row in result["response"]]
        is_complete = sorted(position for position, _ in scores) == list(range(count))
        if not is_complete or not all(math.isfinite(score) for _, score in scores):
            raise UpstreamCallError.unreadable(f"{len(scores)} scores for {count} documents")
        return Part(scores, native.used(offer, request, answer, result=result))


def ranked(parts: list[Scores]) -> Scores:
    """(index of the document, score), the most relevant first."""
    scores = [
        (number * _BATCH + position, score)
        for number, part in enumerate(parts)
        for position, score in part
    ]
    return sorted(scores, key=lambda found: (-found[1], found[0]))
