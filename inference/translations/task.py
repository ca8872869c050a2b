"""Texts from one language into another."""

from typing import Any

from agentflare.errors import InvalidRequestError
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.translations.params import TranslationParams
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "translations"
KINDS = ("translation",)

# ISO 639-1 → what IndicTrans2 calls it. Source: the model's own list of languages.
_INDIC = {
    "as": "asm_Beng",
    "bn": "ben_Beng",
    "gu": "guj_Gujr",
    "hi": "hin_Deva",
    "kn": "kan_Knda",
    "ks": "kas_Arab",
    "ml": "mal_Mlym",
    "mr": "mar_Deva",
    "ne": "npi_Deva",
    "or": "ory_Orya",
    "pa": "pan_Guru",
    "sa": "san_Deva",
    "sd": "snd_Deva",
    "ta": "tam_Taml",
    "te": "tel_Telu",
    "ur": "urd_Arab",
}


class TranslationTask:
    def __init__(self, params: TranslationParams) -> None:
        self.params = params

    def prepare(self, offer: Offer) -> Prepared:
        """Raises NotFoundError, or InvalidRequestError for a language the model lacks."""
        require_kind(offer, KINDS, endpoint=ENDPOINT)
        requests = [JsonRequest(self._body(offer, text)) for text in self.params.texts()]
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def _body(self, offer: Offer, text: str) -> dict[str, Any]:
        params = self.params
        if "indictrans2" not in offer.upstream_model:
            return {
                "text": text,
                "source_lang": params.source_language or "en",
                "target_lang": params.target_language,
            }
        if (params.source_language or "en") not in {"en", "english", "eng_Latn"}:
            raise InvalidRequestError(
                f"The model `{params.model}` translates from English.", param="source_language"
            )
        target = _INDIC.get(params.target_language.lower(), params.target_language)
        return {"text": text, "target_language": target}

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        result = answer.result()
        found = result.get("translated_text") or result.get("translations")
        text = found[0] if isinstance(found, list) and found else found
        if not isinstance(text, str):
            raise UpstreamCallError.unreadable("no translation in the answer")
        return Part(text, native.used(offer, request, answer, result=result))
