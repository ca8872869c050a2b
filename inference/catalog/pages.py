"""The pages of AI models: a workspace's, and in another frame those of the front."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from inference.catalog.cards import (
    CAPABILITIES,
    CHOSEN_BY,
    SORTS,
    WINDOWS,
    Card,
    Wanted,
    cards,
    chosen,
)
from inference.catalog.models import AIModel
from inference.catalog.selectors import catalogue
from inference.catalog.snippets import snippets_of
from inference.catalog.table import KINDS
from inference.playground.kinds import PAGE_OF_KIND
from tenants.members.access import Workspace, workspace_page

_FRAME = "workspace/base.html"


@workspace_page()
def models(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return models_page(request, frame=_FRAME, models_url=_url(workspace))


@workspace_page()
def model(request: HttpRequest, workspace: Workspace, name: str) -> HttpResponse:
    return model_page(request, name, frame=_FRAME, models_url=_url(workspace))


def _url(workspace: Workspace) -> str:
    return reverse("models", kwargs={"slug": workspace.slug})


def models_page(request: HttpRequest, *, frame: str, models_url: str) -> HttpResponse:
    """The catalogue: searched as one types, and without scripts by a button.

    frame: the template around it. models_url: its own; each model's begins with it.
    """
    wanted = _wanted(request)
    every = all_cards(request)
    shown = chosen(every, Wanted(with_unserved=wanted.with_unserved))
    kinds = {card.kind for card in shown}
    context = {
        "frame": frame,
        "models_url": models_url,
        "cards": chosen(every, wanted),
        "wanted": wanted,
        "served": len(chosen(every, Wanted())),
        "kinds": {kind: label for kind, (label, _) in KINDS.items() if kind in kinds},
        "capabilities": {name: CAPABILITIES[name] for name in CHOSEN_BY},
        "windows": WINDOWS,
        "sorts": SORTS,
    }
    is_part = bool(request.htmx) and not request.htmx.history_restore_request  # type: ignore[attr-defined]
    response = render(request, "models/table.html" if is_part else "models/list.html", context)
    # One address, two answers: no cache may give one for the other.
    response["Vary"] = "HX-Request, Cookie"
    response["Cache-Control"] = "no-store"
    return response


def model_page(request: HttpRequest, name: str, *, frame: str, models_url: str) -> HttpResponse:
    """One model: what it can, what it costs, and a program that calls it."""
    card = all_cards(request).get(name)
    if card is None:
        raise Http404
    context = {
        "frame": frame,
        "models_url": models_url,
        "card": card,
        "snippets": None if card.why_not else snippets_of(card),
        "playground": PAGE_OF_KIND.get(card.kind),
    }
    return render(request, "models/detail.html", context)


def all_cards(request: HttpRequest) -> dict[str, Card]:
    """As the workspace sees them whose page it is, or a stranger."""
    workspace: Workspace | None = getattr(request, "workspace", None)
    tenant_code = workspace.tenant.code if workspace else ""
    return cards(catalogue().of(tenant_code), AIModel.objects.all(), tenant_code=tenant_code)


def _wanted(request: HttpRequest) -> Wanted:
    """What is unknown filters nothing."""
    query = request.GET
    window, sort = query.get("window", ""), query.get("sort", "")
    return Wanted(
        words=query.get("q", "").strip()[:100],
        kind=query.get("kind", "") if query.get("kind", "") in KINDS else "",
        capabilities=tuple(name for name in CHOSEN_BY if name in query.getlist("can")),
        least_window=int(window) if window in WINDOWS else 0,
        sort=sort if sort in SORTS else "name",
        with_unserved=query.get("all") == "1",
    )
