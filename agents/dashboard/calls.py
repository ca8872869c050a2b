"""The chat's calls: /v1's own endpoints of agents, made by the member who is signed in."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from django_tenants.utils import schema_context

from agents.agent_conversations.turn_views import (
    CancelTurnView,
    RetryTurnView,
    ToolOutputsView,
    TurnListView,
    TurnView,
)
from agents.agent_conversations.views import (
    AgentConversationListView,
    AgentConversationView,
    ExportView,
    MessageListView,
)
from inference.playground.authentication import MemberAuthentication
from inference.playground.calls import without_connection
from tenants.keys.models import Scope
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission


class AgentMemberAuthentication(MemberAuthentication):
    also = frozenset({Scope.AGENTS})


def _by_member(view: Any) -> Callable[..., HttpResponseBase]:
    made: Callable[..., HttpResponseBase] = view.as_view(
        authentication_classes=(AgentMemberAuthentication,)
    )
    return made


VIEWS: dict[Any, Callable[..., HttpResponseBase]] = {
    view: _by_member(view)
    for view in (
        AgentConversationListView,
        AgentConversationView,
        ExportView,
        MessageListView,
        TurnListView,
        TurnView,
        CancelTurnView,
        ToolOutputsView,
        RetryTurnView,
    )
}


# The token is asked for by MemberAuthentication, which answers in the API's envelope.
@csrf_exempt
@workspace_page(Permission.USE_AGENTS)
def call(request: HttpRequest, workspace: Workspace, below: str) -> HttpResponseBase:
    """/t/<slug>/agents/v1/<what stands below /v1/agents/>."""
    try:
        match = resolve(f"/agents/{below}", urlconf="agents.urls")
    except Resolver404:
        raise Http404 from None
    view = VIEWS.get(getattr(match.func, "view_class", None))
    if view is None:
        raise Http404
    # From here on it is a request to /v1: errors, records and headers are those of its path.
    request.path = request.path_info = f"/v1/agents/{below}"
    with schema_context("public"):
        response = view(request, **match.kwargs)
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = without_connection(iter(response))
    return response
