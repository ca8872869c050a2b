"""Agents in the dashboard: the list, the editor, the chat, the conversations, how to connect."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agentflare.errors import GatewayError
from agents.conversations.models import Conversation
from agents.conversations.objects import uuid_of
from agents.conversations.storage import stored_bytes
from agents.dashboard import selectors
from agents.dashboard.forms import AgentForm, initial_of
from agents.definitions import services
from agents.definitions.models import Agent
from agents.definitions.objects import agent_id as told_id
from agents.definitions.objects import agent_uuid
from agents.definitions.params import AgentUpdateParams
from inference.catalog.selectors import catalogue
from inference.playground.offered import chat_models
from tenants.audit import services as audit
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission

_PAGE_SIZE = 25
_RECENT = 30
_page = workspace_page(Permission.USE_AGENTS)


@_page
def agent_list(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    rows = [(told_id(row.agent.pk), row) for row in selectors.agent_rows()]
    told = {"stored": stored_bytes(), "stored_most": settings.STORED_BYTES_MOST}
    return render(request, "agents/list.html", {"rows": rows, **told})


@never_cache
@_page
def agent_new(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    models = _models(workspace)
    form = AgentForm(request.POST or None, models=models, initial={"model": _first(models)})
    if request.method == "POST" and form.is_valid():
        assert form.params is not None
        try:
            with transaction.atomic():
                agent, secret = services.create_agent(form.params)
                audit.record(
                    actor=workspace.acting(request), action="agent.created", subject=agent.name
                )
        except GatewayError as error:
            _blame(form, error)
        else:
            return _show_secret(request, agent, secret, is_new=True)
    status = 422 if request.method == "POST" else 200
    return render(request, "agents/form.html", {"form": form}, status=status)


@never_cache
@_page
def agent_change(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    models = _models(workspace)
    for name in (agent.model, agent.summary_model):
        if name and name not in models:
            models.append(name)
    form = AgentForm(request.POST or None, models=models, initial=initial_of(agent))
    if request.method == "POST" and form.is_valid():
        assert form.params is not None
        given = form.params.model_dump(exclude_none=False, exclude={"metadata"})
        try:
            with transaction.atomic():
                services.update_agent(agent.pk, AgentUpdateParams.model_validate(given))
                audit.record(
                    actor=workspace.acting(request), action="agent.changed", subject=agent.name
                )
        except GatewayError as error:
            _blame(form, error)
        else:
            messages.success(request, "Saved. Turns under way go on as they began.")
            return redirect("agent_change", slug=workspace.slug, agent_id=agent_id)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, **_about(agent, "change")}
    return render(request, "agents/form.html", context, status=status)


@never_cache
@require_POST
@_page
def agent_secret(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    with transaction.atomic():
        secret = services.new_tool_secret(agent.pk)
        audit.record(
            actor=workspace.acting(request), action="agent.secret_replaced", subject=agent.name
        )
    return _show_secret(request, agent, secret, is_new=False)


@require_POST
@_page
def agent_delete(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    with transaction.atomic():
        services.delete_agent(agent.pk)
        audit.record(actor=workspace.acting(request), action="agent.deleted", subject=agent.name)
    messages.success(request, f"{agent.name} is deleted, with its conversations.")
    return redirect("agents", slug=workspace.slug)


@never_cache
@_page
def agent_chat(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    recent = Conversation.objects.filter(agent=agent).order_by("-pk")[:_RECENT]
    given = request.GET.get("conversation", "")
    chosen = _conversation(agent, given) if given else None
    context = {
        **_about(agent, "chat"),
        "recent": selectors.described(recent),
        "chosen": str(chosen) if chosen else "",
        "has_tools": bool(agent.tool_list),
    }
    return render(request, "agents/chat.html", context)


@_page
def conversations(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    words = request.GET.get("q", "").replace("\0", "").strip()[:200]
    pages = Paginator(selectors.found_conversations(agent, words=words), _PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    context = {
        **_about(agent, "conversations"),
        "words": words,
        "page": page,
        "rows": selectors.described(page.object_list),
        "has_any": bool(words) or pages.count > 0,
    }
    return render(request, "agents/conversations.html", context)


@_page
def conversation(
    request: HttpRequest, workspace: Workspace, agent_id: str, conversation_id: str
) -> HttpResponse:
    agent = _find(agent_id)
    found = _conversation(agent, conversation_id)
    given = request.GET.get("before", "")
    is_number = given.isascii() and given.isdecimal() and len(given) < 12
    rows, older = selectors.turn_rows(found, before=int(given) if is_number else None)
    (told,) = selectors.described([found])
    context = {**_about(agent, "conversations"), **told, "rows": rows, "older": older}
    return render(request, "agents/conversation.html", context)


@_page
def agent_connect(request: HttpRequest, workspace: Workspace, agent_id: str) -> HttpResponse:
    agent = _find(agent_id)
    socket_url = f"{settings.AGENTFLARE_URL}/v1/agents/{agent_id}/ws".replace("http", "ws", 1)
    return render(
        request, "agents/connect.html", {**_about(agent, "connect"), "socket_url": socket_url}
    )


def _about(agent: Agent, tab: str) -> dict[str, Any]:
    return {"agent": agent, "agent_id": told_id(agent.pk), "tab": tab}


def _find(agent_id: str) -> Agent:
    number = agent_uuid(agent_id)
    agent = Agent.objects.filter(pk=number).first() if number else None
    if agent is None:
        raise Http404
    return agent


def _conversation(agent: Agent, given: str) -> Conversation:
    number = uuid_of(given, "conv")
    found = Conversation.objects.filter(pk=number, agent=agent).first() if number else None
    if found is None:
        raise Http404
    return found


def _models(workspace: Workspace) -> list[str]:
    code = workspace.tenant.code
    return [model["name"] for model in chat_models(catalogue().of(code), code)]


def _first(models: list[str]) -> str:
    preferred = "llama-3.3-70b-fast"
    return preferred if preferred in models else next(iter(models), "")


def _blame(form: AgentForm, error: GatewayError) -> None:
    field = (error.param or "").partition("[")[0]
    form.add_error(field if field in form.fields else None, error.message)


def _show_secret(request: HttpRequest, agent: Agent, secret: str, *, is_new: bool) -> HttpResponse:
    context = {**_about(agent, "change"), "secret": secret, "is_new": is_new}
    return render(request, "agents/secret.html", context)
