"""The playground's pages: one for each kind of call. Their scripts call by playground_call."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from agentflare.pages import CONTENT_SECURITY_POLICY
from billing.dashboard.quickstart import QUICKSTART_MODEL
from inference.catalog.selectors import Catalogue, catalogue
from inference.playground import offered
from inference.playground.kinds import TABS
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission

# Sounds are played from where the script has put them: a blob of this page.
_POLICY = f"{CONTENT_SECURITY_POLICY}; media-src 'self' blob:"


def _page(
    name: str, models: Callable[[Catalogue, str], list[offered.Model]], *, first: str = ""
) -> Callable[..., HttpResponse]:
    """first: the model that is chosen where nobody has chosen one."""

    @never_cache
    @workspace_page(Permission.CALL)
    def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
        found = models(catalogue().of(workspace.tenant.code), workspace.tenant.code)
        names = [model["name"] for model in found]
        asked = request.GET.get("model", "")
        context: dict[str, Any] = {
            "tabs": TABS,
            "tab": name,
            "models": found,
            "chosen": next((each for each in (asked, first) if each in names), ""),
            "asked": asked if asked in names else "",
        }
        template = f"playground/{name.removeprefix('playground_')}.html"
        response = render(request, template.replace("/playground.", "/chat."), context)
        response["Content-Security-Policy"] = _POLICY
        return response

    made: Callable[..., HttpResponse] = page
    return made


chat = _page("playground", offered.chat_models, first=QUICKSTART_MODEL)
images = _page("playground_images", offered.image_models, first="flux-1-schnell")
speech = _page("playground_speech", offered.speech_models, first="aura-2-en")
transcription = _page(
    "playground_transcription", offered.transcription_models, first="whisper-large-v3-turbo"
)
embeddings = _page("playground_embeddings", offered.embedding_models, first="bge-m3")
