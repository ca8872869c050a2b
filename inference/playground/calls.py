"""The playground's calls: /v1's own endpoints, made by the member who is signed in.

They are validated, limited, held, streamed, captured and recorded by the same views as a
program's; only who calls is found in another way.
"""

from collections.abc import Callable, Iterable, Iterator

from django.db import close_old_connections
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_tenants.utils import schema_context

from agentflare.api import ApiView
from inference.audio.speech.views import SpeechView
from inference.audio.transcripts.views import TranscriptionsView
from inference.chat.views import ChatCompletionsView
from inference.embeddings.views import EmbeddingsView
from inference.images.views import ImageGenerationsView
from inference.playground.authentication import MemberAuthentication
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission


def _by_member(view: type[ApiView]) -> Callable[..., HttpResponseBase]:
    made: Callable[..., HttpResponseBase] = view.as_view(
        authentication_classes=(MemberAuthentication,)
    )
    return made


ENDPOINTS = {
    "chat/completions": _by_member(ChatCompletionsView),
    "images/generations": _by_member(ImageGenerationsView),
    "audio/speech": _by_member(SpeechView),
    "audio/transcriptions": _by_member(TranscriptionsView),
    "embeddings": _by_member(EmbeddingsView),
}


# The token is asked for by MemberAuthentication, which answers in the API's envelope.
@csrf_exempt
@workspace_page(Permission.CALL)
@require_POST
def call(request: HttpRequest, workspace: Workspace, endpoint: str) -> HttpResponseBase:
    """POST /t/<slug>/playground/v1/<endpoint>."""
    view = ENDPOINTS.get(endpoint)
    if view is None:
        raise Http404
    # From here on it is a request to /v1: errors, records and headers are those of its path.
    request.path = request.path_info = f"/v1/{endpoint}"
    with schema_context("public"):
        response = view(request)
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = without_connection(iter(response))
    return response


def without_connection(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The middlewares of pages may ask PostgreSQL after the view has; a stream must not keep the
    connection to its end."""
    close_old_connections()
    yield from chunks
