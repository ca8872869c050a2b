"""The base of all endpoints that do something: POST with an Idempotency-Key runs once."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from agentflare.errors import GatewayError
from billing.admission.services import require_credit
from inference.idempotency.once import answer_once, has_idempotency_key
from inference.limits import LimitedView
from inference.refused import note_unless_admitted
from tenants.keys.lookup import KeyRecord
from tenants.keys.models import Scope

_LARGE_BYTES = 256 * 1024


class InferenceView(LimitedView):
    """An endpoint below /v1 with a POST. Handlers are written as if there were no repeats.

    `is_idempotent`, on Django's request, tells whether the answer is kept for a repeat. Such a
    call runs to its end, and is charged for it, also when its client leaves.
    """

    scope = Scope.INFERENCE
    post: Callable[..., HttpResponseBase]

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        is_idempotent = has_idempotency_key(request) and hasattr(self, "post")
        request.is_idempotent = is_idempotent  # type: ignore[attr-defined]
        # A view is made for each request. DRF calls what stands here once it knows the
        # caller, and turns what it raises into OpenAI's envelope.
        if request.method == "POST" and hasattr(self, "post"):
            self.post = partial(self._post_with_credit, self.post)
        if is_idempotent:
            self.post = partial(self._post_once, self.post)

    def handle_exception(self, exc: Exception) -> Any:
        """A call that never began leaves no usage record: it is counted among the refused."""
        request = self.request._request
        record = getattr(request, "api_key", None)
        if isinstance(exc, GatewayError) and isinstance(record, KeyRecord):
            note_unless_admitted(request, record, exc)
        return super().handle_exception(exc)

    def _post_with_credit(
        self,
        handler: Callable[..., HttpResponseBase],
        request: Request,
        *args: Any,
        **kwargs: Any,
    ) -> HttpResponseBase:
        """Reading a large body, and counting what is in it, is work: nobody without any credit
        makes us do it. Small ones are refused at their admission."""
        if int(request._request.META.get("CONTENT_LENGTH") or 0) > _LARGE_BYTES:
            assert isinstance(request.auth, KeyRecord)
            require_credit(request.auth.tenant_code)
        return handler(request, *args, **kwargs)

    def idempotency_space(self, request: Request) -> str:
        """Whose idempotency keys the request's is among, where not the tenant's."""
        return ""

    def _post_once(
        self,
        handler: Callable[..., HttpResponseBase],
        request: Request,
        *args: Any,
        **kwargs: Any,
    ) -> HttpResponseBase:
        assert isinstance(request.auth, KeyRecord)
        return answer_once(
            request._request,
            tenant_code=request.auth.tenant_code,
            run=partial(handler, request, *args, **kwargs),
            space=self.idempotency_space(request),
        )
