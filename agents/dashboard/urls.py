from django.urls import path

from agents.dashboard import pages
from agents.dashboard.calls import call

_ROOT = "t/<slug:slug>/agents"
_AGENT = f"{_ROOT}/<str:agent_id>"
urlpatterns = [
    path(f"{_ROOT}/", pages.agent_list, name="agents"),
    path(f"{_ROOT}/new/", pages.agent_new, name="agent_new"),
    path(f"{_ROOT}/v1/<path:below>", call, name="agent_call"),
    path(f"{_AGENT}/", pages.agent_chat, name="agent_chat"),
    path(f"{_AGENT}/change/", pages.agent_change, name="agent_change"),
    path(f"{_AGENT}/secret/", pages.agent_secret, name="agent_secret"),
    path(f"{_AGENT}/delete/", pages.agent_delete, name="agent_delete"),
    path(f"{_AGENT}/connect/", pages.agent_connect, name="agent_connect"),
    path(f"{_AGENT}/conversations/", pages.conversations, name="agent_conversations"),
    path(
        f"{_AGENT}/conversations/<str:conversation_id>/",
        pages.conversation,
        name="agent_conversation",
    ),
]
