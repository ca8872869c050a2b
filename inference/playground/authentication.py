"""DRF's hook for the playground: the member who is signed in calls, without a key in the page."""

from dataclasses import replace

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from agentflare.errors import GatewayError
from tenants.keys.authentication import let_in
from tenants.keys.lookup import KeyRecord
from tenants.keys.playground import playground_record
from tenants.members.access import Workspace


class FormTooOldError(GatewayError):
    """Without its CSRF token a call may have been made by another site's page."""

    status = 403
    type = "invalid_request_error"
    code = "csrf_failed"

    def __init__(self) -> None:
        super().__init__("This page is too old, or was opened elsewhere. Reload it and try again.")


class MemberAuthentication(BaseAuthentication):
    """`request.auth` is the record of the member's own key of the playground.

    The page's door has set `request.workspace`, and let in nobody without the right to call.
    also: scopes that the door has let in for, beside those of the key.
    """

    also: frozenset[str] = frozenset()

    def authenticate(self, request: Request) -> tuple[None, KeyRecord]:
        page: HttpRequest = request._request
        _require_token(page)
        workspace: Workspace = page.workspace  # type: ignore[attr-defined]
        record = playground_record(
            tenant=workspace.tenant, member=workspace.user, actor=workspace.acting(page)
        )
        record = replace(record, scopes=record.scopes | self.also)
        let_in(request, record)
        return None, record

    def authenticate_header(self, request: Request) -> str:
        return "Session"


def _require_token(page: HttpRequest) -> None:
    """Raises FormTooOldError, or RequestDataTooBig."""
    # Read before Django looks for the token in a form: what parses it must not take its bytes,
    # which the endpoint reads again.
    _ = page.body
    check = CSRFCheck(_answer)
    check.process_request(page)
    if check.process_view(page, _answer, (), {}):
        raise FormTooOldError


def _answer(request: HttpRequest) -> HttpResponse:
    """Stands for the view: the check looks whether it is exempt, and never calls it."""
    raise NotImplementedError
