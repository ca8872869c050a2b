"""What is refused while the operator has switched to read-only, or to paused."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from agentflare import api, errors
from agentflare.middleware import is_api
from tenants.announcements.maintenance import State, current

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_READS = ("GET", "HEAD", "OPTIONS")
# Below /v1 all else are calls, which change nothing that somebody has set up.
_CHANGES = ("/v1/keys",)
# Pages: operators, signing in and out, and what Stripe tells of money that has moved.
_ALWAYS = (
    "/admin/",
    "/accounts/login/",
    "/accounts/logout/",
    "/accounts/2fa/authenticate/",
    "/accounts/reauthenticate/",
    "/webhooks/stripe",
)
_PLAYGROUND_CALLS = "/playground/v1/"


class MaintenanceMiddleware:
    """503 for what would change something, or in a pause call something; all else as ever."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in _READS:
            return self.get_response(request)
        state = current()
        if not state.is_on or not _is_refused(request, state):
            return self.get_response(request)
        if is_api(request) or _PLAYGROUND_CALLS in request.path_info:
            error = errors.ServiceUnavailableError(state.told, retry_after_s=state.retry_after_s)
            return api.error_response(error, request=request)
        return _page(request, state)


def _is_refused(request: HttpRequest, state: State) -> bool:
    path = request.path_info
    if is_api(request):
        return state.is_paused or path.startswith(_CHANGES)
    if _PLAYGROUND_CALLS in path:
        return state.is_paused
    return not path.startswith(_ALWAYS)


def _page(request: HttpRequest, state: State) -> HttpResponse:
    """Whoever sent the form goes back to it: what they typed is still there."""
    answer = render(request, "maintenance.html", {"maintenance": state}, status=503)
    answer["Retry-After"] = str(round(state.retry_after_s))
    if request.headers.get("HX-Request"):
        # A part of a page: the whole is loaded anew, with the banner that says why.
        answer["HX-Refresh"] = "true"
    return answer
