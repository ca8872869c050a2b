"""Labels for an image, each with a score."""

from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.classifications.task import labels_in
from inference.images.inputs import InputImage
from inference.metering import native
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.requests import RawRequest, UpstreamRequest

ENDPOINT = "images/classifications"
KINDS = ("image-classification",)


class ImageClassificationTask:
    def __init__(self, image: InputImage) -> None:
        self.image = image

    def prepare(self, offer: Offer) -> Prepared:
        require_kind(offer, KINDS, endpoint=ENDPOINT)
        request = RawRequest(self.image.content, self.image.media_type)
        return Prepared(offer, native.most(offer, request), [request])

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        result = answer.result()
        return Part(labels_in(result), native.used(offer, request, answer, result=result))
