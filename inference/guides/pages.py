"""Documentation in the workspace's frame."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from inference.guides.guides import GUIDES, read_guide
from tenants.members.access import Workspace, workspace_page

# Documents that have a page of another kind here.
_PAGES = {"models": "models"}


@workspace_page()
def guide_list(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return render(request, "guides/list.html", {"guides": GUIDES.values()})


@workspace_page()
def guide(request: HttpRequest, workspace: Workspace, name: str) -> HttpResponse:
    if name not in GUIDES:
        raise Http404

    def link(other: str) -> str:
        if other in GUIDES:
            return reverse("guide", kwargs={"slug": workspace.slug, "name": other})
        page = _PAGES.get(other)
        return reverse(page, kwargs={"slug": workspace.slug}) if page else ""

    context = {"guide": read_guide(name, link=link), "guides": GUIDES.values()}
    return render(request, "guides/guide.html", context)
