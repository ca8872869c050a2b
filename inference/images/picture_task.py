"""Pictures, made from words or from other pictures."""

from dataclasses import replace

from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.images.answers import content_in, picture_from
from inference.images.params import PictureParams
from inference.images.requests import Sources, requests_for
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import Call, require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.requests import UpstreamRequest

GENERATIONS = "images/generations"
EDITS = "images/edits"
_KINDS = {
    GENERATIONS: ("text-to-image",),
    EDITS: ("text-to-image", "inpainting"),
}


class PictureTask:
    """No model answers several pictures: each is a call of its own."""

    def __init__(
        self, params: PictureParams, *, endpoint: str, sources: Sources | None = None
    ) -> None:
        self.params = params
        self.endpoint = endpoint
        self.sources = sources

    def prepare(self, offer: Offer) -> Prepared:
        """Raises GatewayError for what this model cannot do."""
        require_kind(offer, _KINDS[self.endpoint], endpoint=self.endpoint)
        requests = requests_for(self.params, offer, self.sources)
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        """Raises UpstreamCallError for what is no picture."""
        if answer.is_json:
            result = answer.result()
            used = native.used(offer, request, answer, result=result)
            return Part(picture_from(content_in(result), self.params), used)
        content = answer.content()
        used = native.used(offer, request, answer, result=None, content=content)
        return Part(picture_from(content, self.params), used)


def without_one_answer_for_all(call: Call, params: PictureParams) -> Call:
    """Several pictures without a seed are the same call several times: from AI Gateway's cache
    they would be one picture."""
    if params.count > 1 and params.seed is None:
        return replace(call, cache_ttl_s=0)
    return call
