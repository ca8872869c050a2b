"""GET /v1/openapi.json, and the page that is made from the same document."""

from functools import cache
from hashlib import sha256

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from rest_framework.request import Request

from agentflare.api import ApiView
from inference.reference.document import document
from inference.reference.page import contents

_MAX_AGE_S = 300


@cache
def _serialized() -> tuple[bytes, str]:
    """The document and its ETag."""
    body = orjson.dumps(document())
    return body, f'"{sha256(body).hexdigest()[:32]}"'


class OpenApiView(ApiView):
    """The same for everybody, so it needs no key."""

    authentication_classes = ()

    def get(self, request: Request) -> HttpResponse:
        body, etag = _serialized()
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={_MAX_AGE_S}"}
        if etag in request.META.get("HTTP_IF_NONE_MATCH", ""):
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(
            body,
            content_type="application/json",
            headers={**headers, "Content-Length": str(len(body))},
        )


@cache
def _page_contents() -> SafeString:
    """The page but for its frame: the same for everybody."""
    return render_to_string("reference/contents.html", contents())


def reference_page(request: HttpRequest) -> HttpResponse:
    """GET /docs/api, for people, with or without an account."""
    return render(request, "reference/page.html", {"contents": _page_contents()})
