"""Labels for texts, each with a score."""

from typing import Any

from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "classifications"
KINDS = ("text-classification",)

Labels = list[dict[str, Any]]


class ClassificationTask:
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def prepare(self, offer: Offer) -> Prepared:
        require_kind(offer, KINDS, endpoint=ENDPOINT)
        requests = [JsonRequest({"text": text}) for text in self.texts]
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        result = answer.result()
        return Part(labels_in(result), native.used(offer, request, answer, result=result))


def labels_in(result: Any) -> Labels:
    """The likeliest first. Raises UpstreamCallError."""
    if not isinstance(result, list) or not result:
        raise UpstreamCallError.unreadable("no labels in the answer")
    labels = [{"label": str(row["label"]), "score": float(row["score"])} for row in result]
    return sorted(labels, key=lambda row: row["score"], reverse=True)
