"""Below /v1 any page of any site may call: it needs a key, and browsers add none by themselves.

OpenAI's and Anthropic's clients run in browsers too (`dangerouslyAllowBrowser`). They send
`authorization` and headers of their own, for which the browser asks first (a preflight).
"""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from agentflare.middleware import GetResponse, is_api

_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_A_DAY_S = 86_400


class CorsMiddleware:
    """Without credentials: cookies are neither read below /v1 nor allowed to be sent."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request):
            return self.get_response(request)
        response = _preflight(request) if _is_preflight(request) else self.get_response(request)
        response["Access-Control-Allow-Origin"] = "*"
        response["Access-Control-Expose-Headers"] = "*"
        return response


def _is_preflight(request: HttpRequest) -> bool:
    return request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META


def _preflight(request: HttpRequest) -> HttpResponse:
    """Allows the headers that are asked for: `*` would leave out `authorization`."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    response["Access-Control-Allow-Methods"] = _METHODS
    asked = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
    response["Access-Control-Allow-Headers"] = asked or "authorization, content-type"
    response["Access-Control-Max-Age"] = str(_A_DAY_S)
    response["Vary"] = "Access-Control-Request-Headers"
    return response
